"""Share the work of a kernel out among torch's own threads.

torch's OpenMP threads stay awake for some milliseconds after each operation: threads of our own
would wait for the cores that these hold. So the kernels run on them. Where torch was built without
OpenMP's C interface (macOS, Windows), Python's threads do the work; the kernels release the
interpreter's lock. Numba's thread pools are not used: they too would be a second set.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from g_selfatt.backends.numba.parallel import Team
from g_selfatt.backends.numba.workspaces import memory_of


@functools.lru_cache(maxsize=256)
def share_out(units: int, blocks: int, threads: int) -> NDArray[np.int64]:
    """Tasks (first unit, last + 1, first block, last + 1, extra), larger ones first, ``(n, 5)``.

    A task is a share of the units that are left, so that threads end together. The last units,
    fewer than threads, are divided by blocks. The first part of each has −1 for ``extra``, as a
    whole unit; the others count up from 0, and their gradients are added to the first's afterwards,
    in this order.
    """
    if threads == 1:
        return np.array([(0, units, 0, blocks, -1)], np.int64)
    tasks, first, divided = [], 0, units % threads
    while first < units - divided:
        last = first + max((units - divided - first) // (2 * threads), 1)
        tasks.append((first, last, 0, blocks, -1))
        first = last
    most = min(-(-3 * threads // max(divided, 1)), blocks)
    # The fewest parts with which the last units take least: the longest thread has so many parts.
    parts = min(range(1, most + 1), key=lambda n: -(-divided * n // threads) / n)
    edges = [blocks * n // parts for n in range(parts + 1)]
    extras = itertools.count()
    for unit in range(first, units):
        for n in range(parts):
            extra = next(extras) if n > 0 else -1
            tasks.append((unit, unit + 1, edges[n], edges[n + 1], extra))
    return np.array(tasks, np.int64)


def run_all(kernel: Callable, tasks: NDArray[np.int64], dtype: DTypeLike, *arguments: Any) -> None:
    """``kernel(team, *arguments)``, which does all the tasks, on torch's number of threads."""
    threads = min(torch.get_num_threads(), len(tasks))
    parallel = _openmp_parallel() if threads > 1 else 0
    team = Team(tasks, np.zeros(2, np.int64), memory_of(threads, dtype), threads, parallel)
    if threads == 1 or parallel:
        kernel(team, *arguments)
        return
    calls = [_pool(threads).submit(kernel, team, *arguments) for _ in range(threads)]
    try:
        for call in calls:
            call.result()
    finally:
        wait(calls)  # also where one is interrupted: the next call has the same memory


@functools.cache
def _openmp_parallel() -> int:
    """The address of ``GOMP_parallel`` of the OpenMP that torch uses; 0 where there is none."""
    # Looked up in torch and what it is linked with, so it is that one and no other.
    parallel = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    return 0 if parallel is None else ctypes.cast(parallel, ctypes.c_void_p).value or 0


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="g_selfatt")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
