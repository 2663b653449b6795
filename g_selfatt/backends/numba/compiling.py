"""How the kernels are compiled: without counting references, and kept for the next process.

Numba's cache notices a change of the file that a cached function is in, not of the files whose
functions it calls; it does tell apart closures over different values. So a kernel's entry point is
a closure over the checksum of them all.

Numba reads and writes its cache without a lock: two processes that save one kernel for two dtypes
at the same time can write both to the same file. So one process at a time reads or writes the files
of a kernel. One compiles it for a dtype, and the others wait and load what it compiled.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from numba import njit
from numba.core.caching import FunctionCache

logger = logging.getLogger(__name__)

# For the functions inside a kernel, which are called many times and allocate nothing. Otherwise
# each call would count a reference for each of its arrays, atomically: that took longer than the
# arithmetic of a small one, and made threads wait for each other.
inner = njit(_nrt=False)

# For small ones that are called in the loops, and for those that take a whole `Scratch`: a call
# writes seven numbers for each of its arrays.
inlined = njit(_nrt=False, forceinline=True)


def sources_digest() -> int:
    """A checksum of all files of this package."""
    digest = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return digest


class _Cache(FunctionCache):
    """Numba's cache of one function, which never fails: what cannot be read is compiled again."""

    _told = False  # once in a process, whichever kernel is the first

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is kept for a signature, or None."""
        with self._alone("files"):
            try:
                kept = super().load_overload(sig, target_context)
            except Exception as error:  # unpickling a damaged file raises anything
                kept = None
                self._tell("read", error)
                with suppress(OSError):
                    self.flush()  # so that what is compiled now can be kept in its place
        if kept is None:
            # One line for each kernel, so that a terminal is never silent for a minute.
            name = self._py_func.__name__
            logger.info("compiling the attention's %s (once, about 30 s)…", name)
        return kept

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, where there is room."""
        try:
            with self._alone("files"):
                super().save_overload(sig, data)
        except Exception as error:
            self._tell("written", error)

    def locked(self, compile: Callable) -> Callable:
        """The function, which runs in one process at a time for each signature."""

        def locked(signature: Any) -> Any:
            with self._alone(f"{zlib.crc32(str(signature).encode()):x}"):
                return compile(signature)

        return locked

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold one of the kernel's locks, so that no other process does."""
        with ExitStack() as held:
            with suppress(OSError, NotImplementedError):  # a folder without locks: not alone
                self._impl.locator.ensure_cache_path()
                held.enter_context(FileLock(f"{self._cache_file._index_path}.{name}.lock"))
            yield

    def _tell(self, what: str, error: Exception) -> None:
        if not _Cache._told:
            _Cache._told = True
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning(
                "compiling the attention again: the cache in %s cannot be %s (%s)",
                *(self.cache_path, what, reason),
            )


def compile_kernel(function: Callable) -> Callable:
    """Compile on the first call, without the interpreter's lock, and cached.

    The cache is beside the sources, or in the user's cache directory where that is read-only.
    """
    kernel = njit(nogil=True)(function)
    try:
        kernel._cache = _Cache(function)  # what njit(cache=True) does, with its own class
        kernel.compile = kernel._cache.locked(kernel.compile)
    except RuntimeError as error:  # neither can be written
        logger.warning("every process compiles the attention again: %s", error)
    return kernel
