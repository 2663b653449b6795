"""Memory for the scratch of a kernel, which a thread keeps from call to call.

What the system hands out anew lies in any pages: the lines of two arrays may fall on the same
places of the second cache, and a second thread was seen to take 1.4 times as long for the same
work. Here it lies in huge pages, where the system has them, and is still in the caches.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from g_selfatt.backends.numba.lanes import BYTES

HUGE_PAGE = 2**21
SIZE = 4 * HUGE_PAGE  # bytes for each thread; what does not fit is allocated for the call

_memories: dict[int, NDArray[np.uint8]] = {}


class Workspace(NamedTuple):
    """The memory of one thread for one call of a kernel."""

    memory: Any  # (numbers,)
    taken: Any  # (1,), numbers that `room` has given away


def memory_of(threads: int, dtype: DTypeLike) -> NDArray:
    """The memory that the calling thread keeps for so many threads, ``(threads, numbers)``."""
    caller = threading.get_ident()
    memory = _memories.get(caller)
    if memory is None or len(memory) < threads:
        # NumPy asks for huge pages. They are those of this process alone, also after a fork.
        pages = np.empty(threads * SIZE + HUGE_PAGE, np.uint8)
        first = -pages.ctypes.data % HUGE_PAGE
        memory = pages[first : first + threads * SIZE].reshape(threads, SIZE)
        _memories[caller] = memory
    return memory[:threads].view(dtype)


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
