"""Memory for the scratch of a kernel, which a thread keeps from call to call.

What the system hands out anew lies in any pages: the lines of two arrays may fall on the same
places of the second cache, and a second thread was seen to take 1.4 times as long for the same
work. Here it lies in huge pages, where the system has them, and is still in the caches.
"""

from __future__ import annotations

import mmap
import threading
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import DTypeLike

from g_selfatt.backends.numba.lanes import BYTES

HUGE_PAGE = 2**21
SIZE = 4 * HUGE_PAGE  # bytes for each thread; what does not fit is allocated for the call

_memories: dict[int, np.ndarray] = {}


class Workspace(NamedTuple):
    """The memory of one thread for one call of a kernel."""

    memory: Any  # (numbers,)
    taken: Any  # (1,), numbers that `room` has given away


def workspace(dtype: DTypeLike) -> Workspace:
    """All of the calling thread's memory."""
    thread = threading.get_ident()
    memory = _memories.get(thread)
    if memory is None:
        memory = _memories[thread] = _allocate()
    return Workspace(memory.view(dtype), np.zeros(1, np.int64))


def _allocate() -> np.ndarray:
    pages = mmap.mmap(-1, SIZE + HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    first = -memory.ctypes.data % HUGE_PAGE
    return memory[first : first + SIZE]


@njit
def room(workspace: Any, shape: Any) -> Any:
    """An uninitialized array whose registers lie in one cache line each."""
    size = 1
    for n in shape:
        size *= n
    memory, taken = workspace
    first = taken[0]
    lanes = BYTES // memory.itemsize
    taken[0] += -(-size // lanes) * lanes
    if taken[0] > memory.size:
        memory = np.empty(size + lanes, memory.dtype)
        first = (-memory.ctypes.data % BYTES) // memory.itemsize
    return memory[first : first + size].reshape(shape)


@njit
def zeros(workspace: Any, shape: Any) -> Any:
    """As `room`, of zeros."""
    array = room(workspace, shape)
    array[:] = 0
    return array
