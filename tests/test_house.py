"""The rules of the house: what may import what, and that the library needs nothing else."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ALLOWED = {
    "g_selfatt": {"g_selfatt"},
    "datasets": {"g_selfatt"},
    "models": {"g_selfatt"},
    "training": {"training", "g_selfatt", "config"},
}
OURS = {*ALLOWED, "config", "main", "runs", "demo", "tests", "benchmarks"}


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


LAYERS = ("groups", "functional", "backends", "nn", "testing")
FLOORS = (*LAYERS, "config_keys", "datasets", "models")
LOOKED_UP_AT_THE_CALL = {("g_selfatt.functional.attention", "g_selfatt.backends.registry")}
"""The one arrow up: the public function takes its backend from the registry."""


def arrows(root):
    """(importing module, imported module) of a package, wherever in a file the import is."""
    files = {path: path.relative_to(root).with_suffix("").parts for path in root.rglob("*.py")}
    names = {p: ".".join(x for x in (root.name, *n) if x != "__init__") for p, n in files.items()}
    for path, name in names.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                within = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from ((name, x if x in names.values() else node.module) for x in within)
            elif isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)


def misplaced(drawn):
    """What is wrong with the arrows of the library: those that point up, and a circle."""
    drawn = {(a, b) for a, b in drawn if b.startswith("g_selfatt.")} - LOOKED_UP_AT_THE_CALL
    drawn = {(a, b) for a, b in drawn if a != "g_selfatt"}
    floor = {x: FLOORS.index(x.split(".")[1]) for arrow in drawn for x in arrow}
    wrong = [(a, b) for a, b in drawn if floor[a] < floor[b]]
    sorter = TopologicalSorter()
    for a, b in drawn:
        if floor[a] < len(LAYERS):
            sorter.add(a, b)
    try:
        sorter.prepare()
    except CycleError as error:
        wrong.append(error.args[1])
    return wrong


def test_the_floors_of_the_library():
    """Groups below functional below backends below nn, and the layers below data sets and networks.

    Type annotations included; no circle among the layers.
    """
    drawn = set(arrows(REPOSITORY / "g_selfatt"))
    assert drawn >= LOOKED_UP_AT_THE_CALL
    assert not misplaced(drawn)
    assert misplaced({*drawn, ("g_selfatt.groups.group", "g_selfatt.nn.neighbourhood")})
    assert misplaced({*drawn, ("g_selfatt.groups.group", "g_selfatt.groups.se2")})


OPTIONAL = {
    "backends/numba": {"numba", "llvmlite", "numpy", "filelock"},
    "backends/triton": {"triton"},
}


def test_the_layers_need_torch_alone():
    """Numba and Triton, and what they need, are for the folders of their backends.

    `test_optional_packages` imports these folders without them. typing_extensions, which torch
    needs, is for type checkers only: see `attention_layers`.
    """
    root = REPOSITORY / "g_selfatt"
    for path in (path for layer in LAYERS for path in (root / layer).rglob("*.py")):
        optional = OPTIONAL.get(path.parent.relative_to(root).as_posix(), set())
        foreign = set(imported(path)) - set(sys.stdlib_module_names) - {"g_selfatt"}
        assert foreign <= {"torch", "typing_extensions"} | optional, path


def test_every_forward_says_its_shapes():
    for path in (REPOSITORY / "g_selfatt" / "nn").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "forward":
                assert "→" in (ast.get_docstring(node) or ""), f"{path}:{node.lineno}"


def test_files_are_short():
    for path in REPOSITORY.rglob("*.py"):
        inside = path.relative_to(REPOSITORY).parts[0]
        if inside in OURS or path.parent == REPOSITORY:
            assert len(path.read_text().splitlines()) <= 300, path
