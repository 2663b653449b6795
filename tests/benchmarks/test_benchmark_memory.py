"""Memory: a known allocation is measured as such; processes of their own end as they must."""

import os
import signal
import sys

import pytest
import torch

from benchmarks.children import OutOfMemory, in_child
from benchmarks.growth import Point
from benchmarks.memory import CLEAR_REFS, measure_memory, peak_of
from benchmarks.steps import LayerStep

needs_proc = pytest.mark.skipif(not CLEAR_REFS.exists(), reason="measured on Linux alone")
KNOWN_BYTES = 64 * 2**20


def allocate():
    torch.ones(KNOWN_BYTES // 4)


@needs_proc
def test_an_allocation_of_known_size():
    allocate()
    torch.ones(4 * KNOWN_BYTES // 4)  # an earlier peak is not counted
    kept = torch.ones(2 * KNOWN_BYTES // 4)  # nor is what is there before
    memory = peak_of(allocate, "cpu")
    assert memory.step == pytest.approx(KNOWN_BYTES, rel=0.04)
    assert memory.process > memory.step + kept.numel() * 4


class TinyLayer:
    def build(self, backend, device):
        return LayerStep("p4", 24, backend=backend, device=device)


@needs_proc
def test_memory_of_a_step_in_a_process_of_its_own():
    memory = in_child(measure_memory, TinyLayer(), "reference", "cpu", 1)
    scores = 4 * 9 * 4**3 * 24**2 * 25  # one number for each, of which several are kept
    assert 2 * scores < memory.step < 12 * scores
    assert memory.step < memory.process


def fail(message):
    raise ValueError(message)


def test_an_error_in_the_child_is_raised_here():
    with pytest.raises(ValueError, match="the message"):
        in_child(fail, "the message")


def exhaust():
    torch.empty(2**60)


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("function", [exhaust, be_killed])
def test_out_of_memory(function):
    with pytest.raises(OutOfMemory):
        in_child(function)


def test_another_end_is_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="exit code 3"):
        in_child(sys.exit, 3)


@needs_proc
def test_attention_needs_memory_in_proportion_to_the_pixels():
    """Peak bytes a pixel of forward and backward; the scores of 9 heads would be 58 kB."""
    small, large = (
        in_child(measure_memory, Point("p4", side), "numba", "cpu", 1).step / side**2
        for side in (64, 128)
    )
    assert large < 1.2 * small
    assert large < 15e3
