"""What is around the compiled kernels' arithmetic: memory, and numbers that are not normal."""

import numpy as np
import pytest
import torch
from attention_cases import make_inputs, results, worst_error

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


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_what_a_threads_memory_does_not_hold_is_allocated(size, monkeypatch):
    """In numbers: of a scratch of some ten thousand."""
    inputs = make_inputs("p4", (5, 6), (3, 3))
    expected = results("numba", inputs)

    def small(threads, dtype):
        return np.full((threads, size), np.nan, dtype)

    monkeypatch.setattr(workers, "memory_of", small)
    assert worst_error(results("numba", inputs), expected) == 0


def test_a_thread_keeps_its_memory_and_gets_more_for_more_threads():
    first, second = (workspaces.memory_of(2, np.float32) for _ in range(2))
    assert first.ctypes.data == second.ctypes.data
    assert first.ctypes.data % workspaces.HUGE_PAGE == 0
    assert first.shape == (2, workspaces.SIZE // 4)
    assert workspaces.memory_of(3, np.float64).shape == (3, workspaces.SIZE // 8)
