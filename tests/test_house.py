"""The rules of the house: what may import what, and that the library stands alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ALLOWED = {
    "g_selfatt": {"g_selfatt"},
    "datasets": {"datasets", "g_selfatt", "keys"},
    "models": {"models", "datasets", "g_selfatt", "keys"},
    "training": {"training", "models", "datasets", "g_selfatt", "config", "keys"},
}
OURS = {*ALLOWED, "config", "keys", "main", "runs", "demo", "tests", "benchmarks"}


def imported(path):
    """Top-level names of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows_point_down_only(package):
    for path in (REPOSITORY / package).rglob("*.py"):
        assert set(imported(path)) & OURS <= ALLOWED[package], path


def test_the_library_needs_torch_alone():
    """Numba and Triton, and what they need, are optional: imported on first use alone."""
    names = {name for path in (REPOSITORY / "g_selfatt").rglob("*.py") for name in imported(path)}
    foreign = names - set(sys.stdlib_module_names) - {"g_selfatt"}
    assert foreign <= {"torch", "numba", "llvmlite", "numpy", "filelock", "triton"}


def test_library_and_models_import_without_torchvision():
    program = (
        "import sys; sys.modules['torchvision'] = None\n"
        "import g_selfatt, models, datasets, training\n"
        "datasets.load('rotDigits')\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


def test_files_are_short():
    for path in REPOSITORY.rglob("*.py"):
        inside = path.relative_to(REPOSITORY).parts[0]
        if inside in OURS or path.parent == REPOSITORY:
            assert len(path.read_text().splitlines()) <= 300, path


def test_the_library_imports_and_runs_without_numba():
    program = (
        "import sys; sys.modules['numba'] = None; sys.modules['llvmlite'] = None\n"
        "import torch, models\n"
        "models.create_model('p4sa', 'rotDigits')(torch.zeros(1, 1, 12, 12)).sum().backward()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
