"""What runs by `pytest -m gpu` only: the kernels on a GPU, and compiled for GPUs."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
