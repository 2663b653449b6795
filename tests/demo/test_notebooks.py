"""The notebooks of demo/ run, and what they show is asserted in them."""

from pathlib import Path

import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "demo").glob("*.ipynb"))
NAMES = {
    "attention_maps",
    "construct_your_own_gsa_net",
    "faster_than_the_paper",
    "mz2_global",
    "mz2_local",
    "p4_global",
    "p4_local",
    "p4m_global",
    "p4m_local",
    "p8_local",
    "your_own_group",
    "z2",
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A folder of kernels whose python3 is the interpreter that runs the tests."""
    folder = tmp_path_factory.mktemp("jupyter")
    write_kernel_spec(folder / "kernels" / "python3")
    return folder


@pytest.fixture
def execute(kernels, monkeypatch):
    """Run a notebook, which is not saved, in a working directory; raises with the failing cell."""
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))

    def run(notebook, folder):
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()

    return run


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_all_notebooks_are_there():
    assert {path.stem for path in NOTEBOOKS} == NAMES


@each_notebook
def test_notebook_runs_from_its_folder(path, execute):
    execute(read(path), path.parent)


def test_notebook_runs_from_the_root_of_the_repository(execute):
    """One stands for all: `test_notebook_was_saved_executed` says that they find modules alike."""
    execute(read(REPOSITORY / "demo" / "mz2_local.ipynb"), REPOSITORY)


@each_notebook
def test_notebook_was_saved_executed(path):
    cells = code_cells(path)
    assert cells[0].source == code_cells(NOTEBOOKS[0])[0].source
    # Counted from one, so that what is saved is one run from top to bottom.
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


@each_notebook
def test_notebook_asserts_what_it_shows(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    judges = ("assert ", "testing.assert_equivariant(", "testing.equivariance_error(")
    assert any(judge in source for judge in judges)


@each_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size < 300_000
