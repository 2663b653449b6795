"""Memory: a known allocation is measured as such, and attention needs little of it."""

import pytest
import torch

from benchmarks.contenders import Contender, OutOfMemory, Worker, measure
from benchmarks.worker import CLEAR_REFS, peak_memory

needs_proc = pytest.mark.skipif(not CLEAR_REFS.exists(), reason="measured on Linux only")
KNOWN_BYTES = 64 * 2**20


class Allocation:
    """A step that needs a known number of bytes."""

    def forward(self):
        return torch.ones(KNOWN_BYTES // 4)

    def finish(self, output):
        pass


@needs_proc
def test_an_allocation_of_known_size():
    Allocation().forward()
    torch.ones(4 * KNOWN_BYTES // 4)  # an earlier peak is not counted
    kept = torch.ones(2 * KNOWN_BYTES // 4)  # nor is what is there before
    memory = peak_memory(Allocation(), "cpu")
    assert memory["memory_bytes"] == pytest.approx(KNOWN_BYTES, rel=0.04)
    assert memory["process_bytes"] > memory["memory_bytes"] + kept.numel() * 4


@needs_proc
def test_memory_of_a_step_in_a_process_of_its_own():
    worker = Worker(Contender("reference"), {"group": "p4", "side": 24}, "cpu", 1)
    memory = worker.ask("memory")
    worker.close()
    scores = 4 * 9 * 4**3 * 24**2 * 25  # one number for each, of which several are kept
    assert 2 * scores < memory["memory_bytes"] < 12 * scores
    assert memory["memory_bytes"] < memory["process_bytes"]


@pytest.mark.parametrize("side", [512, 2**20])  # 20 GB, and more than any machine has
def test_out_of_memory_is_a_result(side):
    assert measure([Contender("reference")], {"group": "p4", "side": side}, "cpu", 1, 1) == [None]


def test_a_killed_process_is_out_of_memory():
    worker = Worker(Contender("reference"), {"group": "z2", "side": 8}, "cpu", 1)
    worker.process.kill()
    with pytest.raises(OutOfMemory):
        worker.ask("time")
    worker.close()


@pytest.mark.parametrize(
    ("what", "message"),
    [({"group": "q4", "side": 8}, "unknown group 'q4'"), ({"side": 8}, "exit code 1")],
)
def test_an_error_of_the_step_is_raised_here(what, message):
    with pytest.raises(ValueError, match=message):
        measure([Contender("reference")], what, "cpu", 1, 1)


@needs_proc
def test_attention_needs_memory_in_proportion_to_the_pixels():
    """Peak bytes a pixel of forward and backward; the scores of 9 heads would be 58 kB."""
    bytes_a_pixel = []
    for side in (48, 96):
        worker = Worker(Contender("numba"), {"group": "p4", "side": side}, "cpu", 1)
        bytes_a_pixel.append(worker.ask("memory")["memory_bytes"] / side**2)
        worker.close()
    small, large = bytes_a_pixel
    assert large < 1.2 * small
    assert large < 15e3
