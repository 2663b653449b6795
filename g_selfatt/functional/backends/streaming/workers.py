"""Share the work of a kernel out among as many threads as torch uses.

Kernels release the interpreter's lock, so that Python's own threads do: Numba's thread pools would
be a second set beside torch's, and the one that is always there must not be entered from two
threads at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Task = TypeVar("Task")

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


def share_out(units: int, blocks: int) -> list[tuple[int, int, int, int, int]]:
    """Tasks (first unit, last + 1, first block, last + 1, part) of about equal work.

    Blocks are divided only where there are too few units for the threads; the parts of a unit have
    gradients of their own, which are summed afterwards in the order of the parts.
    """
    threads = torch.get_num_threads()
    parts = max(1, min(-(-2 * threads // units), blocks)) if threads > 1 else 1
    chunks = min(units, 4 * threads) if threads > 1 else 1
    unit_edges = [units * i // chunks for i in range(chunks + 1)]
    block_edges = [blocks * i // parts for i in range(parts + 1)]
    return [
        (unit_edges[i], unit_edges[i + 1], block_edges[j], block_edges[j + 1], j)
        for i in range(chunks)
        for j in range(parts)
    ]


def run_all(work: Callable[[Task], None], tasks: Iterable[Task]) -> None:
    """Do all the tasks, on `torch.get_num_threads()` threads; raises what one of them raised."""
    threads = torch.get_num_threads()
    if threads == 1:
        for task in tasks:
            work(task)
        return
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="g_selfatt")
        pool = _pools[threads]
    for _ in pool.map(work, tasks):
        pass
