"""The notebooks of demo/ run, and what they show is asserted in them."""

import json
import re
import subprocess
import sys
from operator import attrgetter
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
IN_JUPYTER = "mz2_local"
stem = attrgetter("stem")
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=stem)


@pytest.fixture(scope="module")
def server():
    """The process that runs the notebooks."""
    command = [sys.executable, "-m", "tests.demo.notebook_server"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, **pipes) as process:
        yield process
        process.stdin.close()


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def without_numbers(line):
    return " ".join(re.sub(r"[-+]?[\d.]+(e[-+]\d+)?", "#", line).split())


def printed(path):
    """The lines that the cells of a notebook printed when it was saved."""
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return {without_numbers(line) for line in text.splitlines()}


def test_all_notebooks_are_there():
    assert {path.stem for path in NOTEBOOKS} == NAMES


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem != IN_JUPYTER], ids=stem)
def test_notebook_runs_from_its_folder(path, server, tmp_path):
    log = tmp_path / "log.txt"
    print(json.dumps([str(path), str(path.parent), str(log)]), file=server.stdin, flush=True)
    assert server.stdout.readline() == "0\n", log.read_text()
    # What is saved was printed by this code, whatever the numbers of another machine.
    assert printed(path) <= {without_numbers(line) for line in log.read_text().splitlines()}


def test_notebook_runs_in_jupyter_from_the_root_of_the_repository(tmp_path, monkeypatch):
    """One stands for all: `test_notebook_was_saved_executed` says that they find modules alike."""
    write_kernel_spec(tmp_path / "kernels" / "python3")  # the interpreter that runs the tests
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = read(REPOSITORY / "demo" / f"{IN_JUPYTER}.ipynb")
    resources = {"metadata": {"path": str(REPOSITORY)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()


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
    assert "assert " in source or "testing.assert_equivariant(" in source


@each_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size < 300_000
