"""What all tests share: where the golden cases lie, and a fixed seed for every test."""

from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def golden():
    """Load a file of cases computed by the code that others released."""
    return lambda name: torch.load(GOLDEN / f"{name}.pt", weights_only=True)
