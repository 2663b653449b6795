"""How the kernels are compiled: without counting references, and kept for the next process.

Numba's cache notices a change of the file that a cached function is in, not of the files whose
functions it calls; it does tell apart closures over different values. So a kernel's entry point is
a closure over the checksum of them all.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from pathlib import Path

from numba import njit

# For the functions inside a kernel, which are called many times and allocate nothing. Otherwise
# each call would count a reference for each of its arrays, atomically: that took longer than the
# arithmetic of a small one, and made threads wait for each other.
inner = njit(_nrt=False)


def sources_digest() -> int:
    """A checksum of all files of this package."""
    digest = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return digest


def compile_kernel(function: Callable) -> Callable:
    """Compiled on its first call, without the interpreter's lock, and cached.

    The cache is beside the sources, or in the user's cache directory where that is read-only.
    """
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError as error:  # neither can be written
        logging.getLogger(__name__).warning("compiled anew in every process: %s", error)
        return njit(nogil=True)(function)
