"""Writes the tables of README.md and RESULTS.md from results/ and the recipes.

    python -m runs.tables

A table is between `<!-- table: KIND PREFIX -->` and `<!-- end of table -->`: `summary` has a row
for each recipe whose name begins with the prefix, `seeds` one for each run of them, `weights` one
for each of those that are shipped, and `peers` one for each network of `benchmarks.peers`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from g_selfatt import models
from runs import results
from training.errors import UserError
from training.run_folder import identity, write_atomic

PAGES = ("README.md", "RESULTS.md")
PEERS = {
    "benchmarks/escnn_p4.py": "p4 steerable CNN of escnn",
    "rotdigits_p4convnet": "p4convnet, ours without attention",
    "rotdigits_p4coatnet": "p4coatnet, the same with attention",
    "rotdigits_p4sa": "p4sa, attention only",
    "rotdigits_z2convnet": "z2convnet, a plain CNN",
    "rotdigits_z2sa": "z2sa, attention only",
}
"""What `benchmarks.peers` compares: recipes, and what their networks are."""
_TABLE = re.compile(
    r"(?<=<!-- table: )(?P<kind>\w+) (?P<prefix>\w+) -->\n.*?(?=<!-- end of table -->)", re.DOTALL
)
Runs = list[dict[str, Any]]


def main(arguments: Sequence[str] = ()) -> None:
    """Run the command."""
    argparse.ArgumentParser(
        prog="python -m runs.tables", description="make the tables of README and RESULTS again"
    ).parse_args(arguments)
    texts = {page: fill((results.REPOSITORY / page).read_text()) for page in PAGES}
    for page, text in texts.items():
        write_atomic(results.REPOSITORY / page, text)


def fill(text: str, folder: Path = results.RESULTS) -> str:
    """The text of a page with its tables made again.

    Args:
        text: Markdown.
        folder: of all results.
    """

    def table(found: re.Match) -> str:
        rows = KINDS[found["kind"]](found["prefix"], folder)
        head, *lines = (f"| {' | '.join(row)} |\n" for row in rows)
        rule = "|" + "---|" * (head.count("|") - 1) + "\n"
        return f"{found['kind']} {found['prefix']} -->\n" + "".join([head, rule, *lines])

    return _TABLE.sub(table, text)


def summary(prefix: str, folder: Path) -> Iterable[Sequence[str]]:
    """What each recipe reached, beside what is published; recipes that have not been run too."""
    yield "recipe", "test", "seeds", "published", "parameters", "s an epoch", "machine", "data"
    for recipe, runs in _runs(prefix, folder).items():
        published = results.field(recipe.partition(":")[0], "Published")
        if not runs:
            yield f"`{recipe}`", "not run", "", published, "", "", "", ""
            continue
        first = runs[0]
        yield (
            f"`{recipe}`",
            _accuracy(runs),
            str(len(runs)),
            published,
            f"{first['parameters']:,}",
            _pace(runs),
            "; ".join(dict.fromkeys(run["machine"].removesuffix(", amp off") for run in runs)),
            first["data"],
        )


def seeds(prefix: str, folder: Path) -> Iterable[Sequence[str]]:
    """Every run: its best epoch, its images right, and the revision that trained it."""
    yield "recipe", "seed", "epochs", "best epoch", "validation", "test", "revision"
    for recipe, runs in _runs(prefix, folder).items():
        for run in runs:
            yield (
                f"`{recipe}`",
                *(str(run[key]) for key in ("seed", "epochs", "best_epoch")),
                f"{run['validation_accuracy']:.2%}",
                f"{run['test_accuracy']:.2%} ({run['test_correct']:,} of {run['test_images']:,})",
                re.sub(r"[0-9a-f]{40}", lambda commit: commit[0][:7], run["trained_by"]),
            )


def peers(prefix: str, folder: Path) -> Iterable[Sequence[str]]:
    """The networks of `benchmarks.peers`, the most accurate first; the prefix is their data set."""
    yield "network", "parameters", "test", "seeds", "CPU s an epoch", "equivariance error, float64"
    errors = json.loads((folder / "peers.json").read_text())
    found = {recipe: results.read(recipe, folder) for recipe in PEERS}

    def accuracy(recipe: str) -> float:
        return sum(run["test_accuracy"] for run in found[recipe]) / max(1, len(found[recipe]))

    for recipe in sorted(PEERS, key=accuracy, reverse=True):
        runs, name = found[recipe], PEERS[recipe]
        if not runs:
            yield name, "", "not run", "", "", ""
            continue
        parameters, error = f"{runs[0]['parameters']:,}", f"{errors[recipe]:.1g}"
        yield name, parameters, _accuracy(runs), str(len(runs)), _pace(runs), error


def weights(prefix: str, folder: Path) -> Iterable[Sequence[str]]:
    """The shipped weights whose names begin with the prefix, the most accurate first."""
    yield "test", "parameters", "recipe", "weights"
    runs = [run for recipe in results.recipes() for run in results.read(recipe, folder)]
    recipes = {
        json.dumps(identity(run["config"]), sort_keys=True): f"`{run['recipe']}`" for run in runs
    }
    shipped = models.list_pretrained(f"{prefix}*")
    for one in sorted(shipped, key=lambda one: one.test_accuracy, reverse=True):
        recipe = recipes.get(json.dumps(identity(one.config), sort_keys=True), "a run of one's own")
        accuracy, parameters = f"{one.test_accuracy:.2%}", f"{one.parameters:,}"
        yield accuracy, parameters, recipe, f"`{one.name}`"


KINDS: dict[str, Callable[[str, Path], Iterable[Sequence[str]]]] = {
    "summary": summary,
    "seeds": seeds,
    "peers": peers,
    "weights": weights,
}


def _runs(prefix: str, folder: Path) -> dict[str, Runs]:
    """Every recipe that begins with the prefix and its runs; with an argument, those there are."""
    names = [recipe for recipe in results.recipes() if recipe.startswith(prefix)]
    names += [name for recipe in names for name in results.arguments_of(recipe, folder)]
    return {name: results.read(name, folder) for name in sorted(names)}


def _accuracy(runs: Runs) -> str:
    percent = [100 * run["test_accuracy"] for run in runs]
    mean = statistics.mean(percent)
    return f"{mean:.2f} %" if len(runs) == 1 else f"{mean:.2f} ± {statistics.stdev(percent):.2f} %"


def _pace(runs: Runs) -> str:
    """The median of the CPU seconds an epoch; of those on the clock where only they are known."""
    cpu = [run["cpu_seconds"] / run["epochs"] for run in runs if run["cpu_seconds"]]
    clock = [run["seconds"] / run["epochs"] for run in runs]
    return f"{statistics.median(cpu or clock):.3g}" + ("" if cpu else " on the clock")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
