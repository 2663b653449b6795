"""Which version of the kernels a cached compilation belongs to.

Numba's cache notices a change of the file that a cached function is in, not of the files whose
functions it calls; it does tell apart closures over different values.
"""

from __future__ import annotations

import zlib
from pathlib import Path


def sources_digest() -> int:
    """A checksum of all files of this package."""
    digest = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return digest
