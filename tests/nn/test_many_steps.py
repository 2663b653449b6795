"""Memory and file handles do not grow over thousands of steps of training and evaluation."""

import gc
import os
import resource
from pathlib import Path

import pytest
import torch

from g_selfatt import nn

HERE = Path("/proc/self")
STEPS = 2_000
MOST_GROWTH = 8e6  # bytes; a query of every step that is kept would be 20e6 in all


def in_use() -> tuple[int, int]:
    """Bytes of resident memory, and open files."""
    gc.collect()
    pages = int((HERE / "statm").read_text().split()[1])
    return pages * resource.getpagesize(), len(os.listdir(HERE / "fd"))


@pytest.mark.skipif(not HERE.exists(), reason="memory is measured on Linux only")
def test_memory_and_file_handles_stay_flat():
    network = nn.GroupLocalSelfAttention("p4", 4, 6, 4, 2, 3, 0.1)
    optimizer = torch.optim.Adam(network.parameters())
    sizes = [(6, 6), (5, 8), (7, 6)]  # several, since tables of sizes are kept
    for step in range(STEPS):
        optimizer.zero_grad()
        network(torch.randn(2, 4, 4, *sizes[step % len(sizes)])).square().mean().backward()
        optimizer.step()
        if step % 20 == 0:
            with torch.no_grad():
                network.eval()(torch.randn(2, 4, 4, 6, 6))
            network.train()
        if step == STEPS // 4:
            memory, files = in_use()
    memory_after, files_after = in_use()
    assert memory_after - memory < MOST_GROWTH
    assert files_after <= files
