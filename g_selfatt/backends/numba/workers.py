"""Share the work of a kernel out among torch's own threads.

torch's OpenMP threads stay awake for some milliseconds after each operation: threads of our own
would wait for the cores that these hold. So the kernels run on them. Where torch was built without
OpenMP's C interface (macOS, Windows), Python's threads do the work; the kernels release the
interpreter's lock. Numba's thread pools are not used: they too would be a second set.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")


def share_out(units: int, blocks: int) -> list[tuple[int, int, int, int, int]]:
    """Tasks (first unit, last + 1, first block, last + 1, part), larger ones first.

    Each task is a share of the units that are left, so that threads end together, and not less than
    an eighth of a thread's, since to begin one takes as long as a unit of a small map.
    Blocks are divided only where there are too few units for the threads; the parts of a unit have
    gradients of their own, which are summed afterwards in the order of the parts.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [(0, units, 0, blocks, 0)]
    parts = max(1, min(-(-2 * threads // units), blocks))
    block_edges = [blocks * i // parts for i in range(parts + 1)]
    least = -(-units // (8 * threads))
    tasks, first = [], 0
    while first < units:
        last = min(first + max((units - first) // (2 * threads), least), units)
        tasks += [(first, last, block_edges[j], block_edges[j + 1], j) for j in range(parts)]
        first = last
    return tasks


def run_all(work: Callable[[Task], None], tasks: Sequence[Task]) -> None:
    """Do all the tasks, on `torch.get_num_threads()` threads; raises what one of them raised."""
    threads = min(torch.get_num_threads(), len(tasks))
    if threads == 1:
        for task in tasks:
            work(task)
        return
    errors: list[BaseException] = []
    left = iter(tasks)  # each thread takes the next; the interpreter's lock makes that safe

    def work_until_none_is_left(_: Any = None) -> None:
        try:
            for task in left:
                work(task)
        except BaseException as error:  # must not pass through C: raised below
            errors.append(error)

    parallel = _openmp_parallel()
    if parallel is not None:
        parallel(_REGION(work_until_none_is_left), None, threads, 0)
    else:
        list(_pool(threads).map(work_until_none_is_left, range(threads)))
    if errors:
        raise errors[0]


_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def _openmp_parallel() -> Callable | None:
    """``GOMP_parallel(function, data, threads, flags)`` of the OpenMP that torch uses, if any."""
    # Looked up in torch and what it is linked with, so it is that one and no other.
    parallel = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    if parallel is not None:
        parallel.argtypes = (_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        parallel.restype = None
    return parallel


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="g_selfatt")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
