"""What the code imports is declared, what is declared is imported, and nothing connects unasked."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires, version
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
OURS = {path.stem for path in REPOSITORY.glob("*.py")} | {
    path.name for path in REPOSITORY.iterdir() if path.is_dir()
}
# Used without an import: by pytest, by make.
TOOLS = {"pytest-xdist", "ruff", "mypy", "mkdocstrings", "onnxscript"}
BROUGHT_BY = {
    "llvmlite": "numba",
    "triton": "torch",
    "nbformat": "nbclient",
    "mkdocs": "mkdocs-material",
    "typing-extensions": "torch",
    "starlette": "gradio",
    "packaging": "pytest",
}
NOT_ON_CONDA = {"playwright"}  # without it, the test of the app is skipped
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "mkdocstrings": "mkdocstrings-python",
}


def normalize(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(file):
    lines = (line.split("#")[0].strip() for line in (REPOSITORY / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def declared(file):
    return {normalize(requirement.name) for requirement in requirements(file)}


def files_of(folders):
    return [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]


def imported(paths):
    """Distributions that some files import, at the top of a module or inside."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
                names.add(node.args[0].value.split(".")[0])  # of datasets.errors
    distributions = packages_distributions()  # without modules that a test writes and imports
    foreign = (names - set(sys.stdlib_module_names) - OURS) & set(distributions)
    found = {normalize(distributions[name][0]) for name in foreign}
    return {BROUGHT_BY.get(name, name) for name in found}


PROGRAMS = ["g_selfatt", "models", "datasets", "training", "demo", "benchmarks", "runs"]


def test_every_import_is_declared_and_every_declared_package_is_imported():
    by_programs = imported([*REPOSITORY.glob("*.py"), *files_of(PROGRAMS)])
    programs, development = declared("requirements.txt"), declared("requirements-dev.txt")
    development |= declared("requirements-app.txt")
    # What an extra of the library needs is among the packages of the tests.
    assert programs <= by_programs <= programs | development
    everything = by_programs | imported(files_of(["tests", "docs"]))
    assert everything - programs == development - TOOLS


FILES = ("requirements.txt", "requirements-app.txt", "requirements-dev.txt")


def test_conda_has_the_same_packages():
    names = set().union(*map(declared, FILES)) - NOT_ON_CONDA
    expected = {CONDA_NAMES.get(name, name) for name in names}
    assert declared("conda_requirements.txt") == expected | {"python"}


def test_installed_packages_fit_together():
    """What is declared, and what that requires; not all the others of an environment."""
    installed = set(map(normalize, chain.from_iterable(packages_distributions().values())))
    ours = [r for file in FILES for r in requirements(file) if normalize(r.name) in installed]
    theirs = [Requirement(line) for one in ours for line in requires(one.name) or ()]
    for needed in ours + theirs:
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            assert needed.specifier.contains(version(needed.name), prereleases=True), needed


OFFLINE = """
import socket, sys

def refuse(*arguments, **options):
    raise SystemExit(f"a connection was opened: {arguments}")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
"""


PROGRAM = """
import demo.pictures, benchmarks.attention, main, training
from g_selfatt import datasets, models
models.create_model("p4sa", "rotDigits", pretrained=True)
datasets.load("rotDigits")
main.main(["--help"])
"""


def test_no_connection_is_opened_unasked():
    command = [sys.executable, "-c", OFFLINE + PROGRAM]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_only_downloads_and_wandb_can_connect():
    """By what they import: a module that opens connections has to import one of these.

    Three connect to nothing: g_selfatt.datasets.torchvision_sets catches torchvision's URLError,
    training.lock asks for the name of this machine, and demo.app whether its port is free.
    """
    network = re.compile(
        r"^\s*(?:import|from) (?:socket|ssl|http|urllib|requests|httpx|aiohttp|wandb|ftplib)\b",
        re.MULTILINE,
    )
    connecting = {
        str(path.relative_to(REPOSITORY))
        for path in files_of(PROGRAMS)
        if network.search(path.read_text())
    }
    assert connecting == {
        "demo/app/__main__.py",
        "g_selfatt/datasets/download.py",
        "g_selfatt/datasets/torchvision_sets.py",
        "training/lock.py",
        "training/tracking.py",
    }
