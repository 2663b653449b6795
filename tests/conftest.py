"""What all tests share: one thread, Triton's interpreter, golden cases, a fixed seed, and the skips
that are expected."""

import os

# One thread for each worker of pytest-xdist and for the programs that a test starts; before torch.
os.environ["OMP_NUM_THREADS"] = "1"

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import triton_interpreter  # noqa: F401  before any test, whose imports may import Triton

from g_selfatt import datasets, models, nn

GOLDEN = Path(__file__).parent / "golden"


def pytest_sessionstart():
    """Two workers of pytest-xdist compile the kernels of a dtype each, so that none waits."""
    dtypes = {"gw0": torch.float32, "gw1": torch.float64}
    dtype = dtypes.get(os.environ.get("PYTEST_XDIST_WORKER"))
    if dtype and find_spec("numba"):
        layer = nn.LiftLocalSelfAttention("p4", 1, 2, 1, 1, 3, backend="numba", dtype=dtype)
        layer(torch.zeros(1, 1, 4, 4, dtype=dtype)).sum().backward()


EXPECTED_SKIPS = (
    "no Chromium",
    "there is no CUDA GPU here",
    "with a GPU there is no interpreter",
)


def pytest_sessionfinish(session):
    """Where G_SELFATT_CI is set, a test that is skipped for any other reason is a failure.

    The workers of pytest-xdist have no terminal: the process that started them judges.
    """
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or "G_SELFATT_CI" not in os.environ:
        return
    for report in terminal.stats.get("skipped", []):
        path, line, reason = report.longrepr
        if not reason.removeprefix("Skipped: ").startswith(EXPECTED_SKIPS):
            terminal.ensure_newline()
            terminal.write_line(f"{path}:{line}: not expected: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def registries():
    """What a test registers is gone after it."""
    tables = (datasets.INFO, models.registry._REGISTRY)
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture(scope="session")
def golden():
    """Load a file of cases computed by the code that others released."""
    return lambda name: torch.load(GOLDEN / f"{name}.pt", weights_only=True)


@pytest.fixture
def one_process(tmp_path):
    """torch.distributed with this process alone."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()
