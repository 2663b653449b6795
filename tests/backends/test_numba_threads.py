"""The threads of the compiled attention: their tasks, their memory, and processes beside them."""

import heapq
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from attention_cases import make_inputs, results, worst_error

from g_selfatt.functional import self_attention

pytest.importorskip("numba")

from numba import njit

from g_selfatt.backends.numba import parallel, workers


def attend(inputs):
    return self_attention(*inputs, scale=0.3, backend="numba")


@pytest.fixture(params=["torch", "Python"])
def set_threads(request, monkeypatch):
    """torch.set_num_threads, on torch's own threads and on Python's, as on macOS and Windows."""
    if request.param == "Python":
        monkeypatch.setattr(workers, "_openmp_parallel", lambda: 0)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing_but_the_order_of_sums(set_threads, threads, heads):
    inputs = make_inputs("p4", (9, 20), (3, 3), heads=heads)
    expected = results("reference", inputs)
    set_threads(threads)
    got, again = (results("numba", inputs) for _ in range(2))
    assert worst_error(got, expected) < 1e-13
    assert all(torch.equal(a, b) for a, b in zip(got, again, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("units", [1, 9, 18, 72, 200])
@pytest.mark.parametrize("blocks", [1, 40])
def test_tasks_are_all_of_the_work_once_larger_ones_first(threads, units, blocks):
    tasks = workers.share_out(units, blocks, threads).tolist()
    done = np.zeros((units, blocks), int)
    for first, last, first_block, last_block, extra in tasks:
        done[first:last, first_block:last_block] += 1
        assert (extra < 0) == (first_block == 0)
    assert (done == 1).all()
    extras = [extra for *_, extra in tasks if extra >= 0]
    assert extras == list(range(len(extras)))
    sizes = [(last - first) * (end - start) for first, last, start, end, _ in tasks]
    whole = [size for size in sizes if size >= blocks]
    assert whole == sorted(whole, reverse=True) and sizes[: len(whole)] == whole


@pytest.mark.parametrize("threads", [2, 3, 4, 8, 16])
def test_threads_end_together(threads):
    """Each takes the next task when it is free, all are as fast, and a map has 40 blocks."""
    for units in range(1, 100):
        busy = [0.0] * threads
        for first, last, start, end, _ in workers.share_out(units, 40, threads):
            heapq.heapreplace(busy, busy[0] + (last - first) * (end - start))
        assert max(busy) < 1.4 * units * 40 / threads


@njit
def _fill(team, numbers, failing):
    memory = parallel.own_memory(team).memory
    first, last, _, _, _ = parallel.next_task(team)
    while first < last:
        if failing:
            raise ValueError("not for the caller")
        memory[0] = first  # of this thread alone
        numbers[first:last] += memory[0]
        first, last, _, _, _ = parallel.next_task(team)


@njit(nogil=True)
def _fill_everywhere(team, numbers, failing):
    parallel.on_all_threads(_fill, team.parallel, team.threads, (team, numbers, failing))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_each_task_once_in_memory_of_their_own(set_threads, threads):
    set_threads(threads)
    tasks = np.array([(n, n + 1, 0, 1, 0) for n in range(5000)])
    numbers = np.zeros(5000)
    workers.run_all(_fill_everywhere, tasks, np.float64, numbers, False)
    assert numbers.tolist() == list(range(5000))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_that_fails_is_one_without_memory(set_threads, threads):
    set_threads(threads)
    tasks = np.array([(n, n + 1, 0, 1, 0) for n in range(4)])
    for _ in range(2):
        with pytest.raises(MemoryError, match="the attention's scratch"):
            workers.run_all(_fill_everywhere, tasks, np.float64, np.zeros(4), True)


def _worst_of(inputs, expected, times):
    """In a process that was forked: OpenMP's threads do not survive it."""
    torch.set_num_threads(1)
    return max(worst_error([attend(inputs)], [expected]) for _ in range(times))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="where processes are forked")
def test_forked_processes_have_memory_of_their_own():
    """As the workers of a data loader, whose transforms may compute attention."""
    inputs = [make_inputs("p4", (9, 8), (5, 5)) for _ in range(2)]
    expected = [attend(given) for given in inputs]
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        errors = pool.map(_worst_of, inputs, expected, [300, 300])
        assert max(errors) < 1e-13
