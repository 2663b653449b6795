"""What is around the compiled kernels' arithmetic: memory, tasks, numbers that are not normal."""

import numpy as np
import pytest
import torch
from attention_cases import make_inputs, outputs_and_gradients, worst_error

from g_selfatt.functional import self_attention

pytest.importorskip("numba")

from numba import njit

from g_selfatt.backends.numba import workers, workspaces
from g_selfatt.backends.numba.denormals import X86, flush_denormals, restore

SMALLEST = float(np.finfo(np.float32).tiny)


@pytest.mark.skipif(not X86, reason="on x86 only")
def test_numbers_that_are_not_normal_are_zeros_inside_and_nowhere_else():
    @njit
    def products(x, factor):
        outside = x[0] * factor
        control = flush_denormals()
        x[1] = x[0] * factor
        restore(control)
        x[2] = x[0] * factor
        return outside

    x = np.full(3, SMALLEST, np.float32)
    expected = np.float32(SMALLEST) * np.float32(0.25)
    assert products(x, np.float32(0.25)) == expected > 0
    assert x.tolist() == [np.float32(SMALLEST), 0, expected]


def test_the_callers_numbers_stay_as_they_are():
    inputs = [
        t.requires_grad_() if t.is_floating_point() else t
        for t in make_inputs("p4", (5, 6), (3, 3))
    ]
    self_attention(*inputs, scale=0.3, backend="numba").sum().backward()
    assert torch.tensor(SMALLEST) * 0.25 > 0


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("units", [1, 9, 18, 72, 200])
@pytest.mark.parametrize("blocks", [1, 40])
def test_tasks_are_all_of_the_work_once_larger_ones_first(threads, units, blocks, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    tasks = workers.share_out(units, blocks)
    done = np.zeros((units, blocks), int)
    for first, last, first_block, last_block, part in tasks:
        done[first:last, first_block:last_block] += 1
        assert part == sorted({task[2] for task in tasks}).index(first_block)
    assert (done == 1).all()
    sizes = [last - first for first, last, *_ in tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert len(tasks) >= min(2 * threads, units * blocks) or threads == 1


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_what_a_threads_memory_does_not_hold_is_allocated(size, monkeypatch):
    """In numbers: of a scratch of some ten thousand."""
    inputs = make_inputs("p4", (5, 6), (3, 3))

    def results():
        def attend(given):
            return self_attention(*list(vars(given).values())[:6], scale=0.3, backend="numba")

        return outputs_and_gradients(attend, inputs, torch.float64)

    expected = results()
    taken = []

    def small(dtype):
        given = workspaces.Workspace(np.full(size, np.nan, dtype), np.zeros(1, np.int64))
        taken.append(given.taken)
        return given

    monkeypatch.setattr("g_selfatt.backends.numba.operator.workspace", small)
    assert worst_error(results(), expected) == 0
    assert all(numbers[0] > size for numbers in taken)


def test_a_thread_has_the_same_memory_again_and_starts_with_all_of_it():
    first, second = (workspaces.workspace(np.float32) for _ in range(2))
    assert first.memory.ctypes.data == second.memory.ctypes.data
    assert first.memory.ctypes.data % workspaces.HUGE_PAGE == 0
    assert first.memory.nbytes == workspaces.SIZE and second.taken[0] == 0
