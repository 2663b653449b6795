"""The figures of runs as small JSON files: results/<recipe>/seed<seed>.json.

`runs.sweep` writes them, `runs.tables` makes tables of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.errors import UserError
from training.run_folder import write_atomic

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "results"


def recipes() -> list[str]:
    """The names of the recipes in runs/, in alphabetical order."""
    files = sorted((REPOSITORY / "runs").glob("*.py"))
    return [file.stem for file in files if "\ndef get_config(" in file.read_text()]


def field(recipe: str, name: str) -> str:
    """A line of a recipe's docstring, such as Published or Cost; empty where there is none."""
    text = (REPOSITORY / "runs" / f"{recipe}.py").read_text()
    found = re.search(rf"^{name}: (.+(?:\n    .+)*)", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def path_of(recipe: str, seed: int, folder: Path = RESULTS) -> Path:
    """Where the figures of a run are.

    Args:
        recipe: its name or file, with what follows a colon on its command line:
            `rotmnist_p4sa_window:7`, `mine/other.py`.
        seed: of the run.
        folder: of all results.
    """
    return folder / Path(recipe).name.replace(".py", "").replace(":", "-") / f"seed{seed}.json"


def read(recipe: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The figures of all runs of a recipe, by seed."""
    runs = map(load, path_of(recipe, 0, folder).parent.glob("seed*.json"))
    return sorted(runs, key=lambda run: run["seed"])


def load(path: Path) -> dict[str, Any]:
    """The figures of a run.

    Raises:
        UserError: the file is damaged.
    """
    try:
        figures = json.loads(path.read_text())
        figures["config"], figures["seed"]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it to have it made again") from error
    return figures


def arguments_of(recipe: str, folder: Path = RESULTS) -> Iterator[str]:
    """The runs of a recipe with what followed the colon: `rotmnist_p4sa_window:7`."""
    for path in sorted(folder.glob(f"{recipe}-*")):
        yield f"{recipe}:{path.name.removeprefix(recipe + '-')}"


def write(figures: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write the figures of a run, whole or not at all; returns the file."""
    path = path_of(figures["recipe"], figures["seed"], folder)
    write_atomic(path, json.dumps(figures, indent=1) + "\n")
    return path
