"""Trains recipes with several seeds, side by side, and keeps their figures under results/.

    python -m runs.sweep rotdigits_p4sa rotdigits_z2sa --seeds 0 1 2 3 4 --parallel 2

Goes on where it was stopped: a run whose figures are there is left out, one whose weights are there
is evaluated, and an interrupted one continues from its state.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import training
from g_selfatt import models
from g_selfatt.models import Weights
from runs import results
from training import command_line, pretrained, provenance, settings
from training.errors import ConfigError, ExpectedStop, Termination
from training.run_folder import differences, identity
from training.stopping import raising_on_termination

Run = tuple[str, int]  # a recipe and a seed


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code, that of the worst run."""
    parser = argparse.ArgumentParser(
        prog="python -m runs.sweep", description="train recipes and keep their figures"
    )
    parser.add_argument("recipes", nargs="+", help="names of files in runs/, or your own.py")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], help="seeds of every recipe (default: 0)"
    )
    parser.add_argument(
        "--parallel", type=int, default=1, help="runs at the same time (default: 1)"
    )
    parser.add_argument("--again", action="store_true", help="train even what is there already")
    parser.add_argument(
        "--results", type=Path, default=results.RESULTS, help="where figures go (default: results/)"
    )
    options = parser.parse_args(arguments)
    if options.parallel < 1:
        parser.error(f"--parallel: got {options.parallel}, expected at least 1")
    pairs = [(recipe, seed) for recipe in options.recipes for seed in options.seeds]
    runs = list(dict.fromkeys(pairs))  # each once
    try:
        for one in runs:
            configuration(*one)  # a mistake is said before anything is trained
        _refuse_same_names(options.recipes)
        todo = [one for one in runs if options.again or not _is_there(*one, options.results)]
        options.results.mkdir(parents=True, exist_ok=True)
    except ExpectedStop as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except OSError as error:
        print(f"--results: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // options.parallel)))
    # spawn: the threads of torch do not survive a fork
    processes = ProcessPoolExecutor(options.parallel, multiprocessing.get_context("spawn"))
    with processes as pool, raising_on_termination():
        try:
            return _run_all(pool, todo, options)
        except (KeyboardInterrupt, BrokenProcessPool) as error:
            if isinstance(error, Termination):  # sent to this process alone, Ctrl-C to all
                for process in multiprocessing.active_children():
                    process.terminate()
            try:
                pool.shutdown()
            except KeyboardInterrupt:  # the second one: what a run has not kept is lost
                for process in multiprocessing.active_children():
                    process.kill()
            killed = isinstance(error, BrokenProcessPool)
            what = "a run was killed" if killed else "interrupted"
            done = " without the runs that are done" if options.again else ""
            print(f"{what}: the same command{done} goes on", file=sys.stderr)
            return 1 if killed else 143 if isinstance(error, Termination) else 130


def _run_all(pool: ProcessPoolExecutor, runs: Sequence[Run], options: argparse.Namespace) -> int:
    """Start a run when another is done; returns the worst exit code.

    A pool that had them all would begin the next one in a process that was told to stop.
    """
    waiting, running, worst = iter(runs), set[Future[tuple[int, str]]](), 0
    for _ in range(len(runs)):
        while len(running) < options.parallel and (one := next(waiting, None)):
            running.add(pool.submit(run, *one, options.again, options.results))
        done = next(as_completed(running))
        running.remove(done)
        code, line = done.result()
        print(line, file=sys.stderr if code else sys.stdout, flush=True)
        worst = max(worst, code)
    return worst


def configuration(recipe: str, seed: int) -> ConfigDict:
    """The resolved and checked configuration of a run.

    Args:
        recipe: name of a file in runs/, or a file of one's own that ends in .py; with an argument
            after a colon where it takes one.
        seed: of the run.

    Raises:
        ConfigError: there is no such recipe, or it cannot be read.
    """
    name, _, argument = recipe.partition(":")
    own, home = name.endswith(".py"), results.REPOSITORY / "runs"
    path = Path(name) if own else home / f"{name}.py"
    if not path.exists():
        near = difflib.get_close_matches(name, results.recipes(), n=1) or results.recipes()
        raise ConfigError(f"{name}: no such recipe; did you mean {', '.join(near)}?")
    file = f"{path}:{argument}" if argument else str(path)
    if own and path.stem in results.recipes() and path.resolve().parent != home:
        raise ConfigError(f"{name}: there is a recipe of that name in runs/; rename the file")
    config = settings.resolve(command_line.parse([f"--config={file}", f"--config.seed={seed}"]))
    for key in ("path", "smoke"):
        if config[key]:
            raise ConfigError(f"{key}: a sweep chooses it, got {config[key]!r} in {recipe}")
    settings.check(config)
    return config


def _refuse_same_names(recipes: Sequence[str]) -> None:
    """ConfigError where the figures of two recipes would be one file."""
    names: dict[Path, str] = {}
    for recipe in recipes:
        other = names.setdefault(results.path_of(recipe, 0), recipe)
        if other != recipe:
            raise ConfigError(f"{recipe} and {other} have one name; rename one of the files")


def run(recipe: str, seed: int, again: bool, folder: Path) -> tuple[int, str]:
    """Train or evaluate one run in this process and write its figures.

    Args:
        recipe, seed: the run.
        again: train even where weights are there.
        folder: of all results.

    Returns:
        The exit code and a line to print.
    """
    config = configuration(recipe, seed)
    log = Path(config.save_dir, "logs", f"{results.path_of(recipe, 0).parent.name}-seed{seed}.txt")
    print(f"{recipe}, seed {seed}: started; {log} tells how it goes", flush=True)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("a") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            logging.basicConfig(stream=file, level=logging.INFO, format="%(message)s", force=True)
            figures = _figures(recipe, config, again)
            path = results.write(figures, folder)
    except ExpectedStop as stop:
        return stop.exit_code, f"{recipe}, seed {seed}: {stop}"
    except OSError as error:
        return 2, f"{recipe}, seed {seed}: {error.filename}: {error.strerror}"
    accuracy = f"{figures['test_accuracy']:.2%} of {figures['test_images']} test images"
    return 0, f"{recipe}, seed {seed}: {accuracy}; {path}"


def _figures(recipe: str, config: ConfigDict, again: bool) -> dict[str, Any]:
    weights = None if again else weights_of(config)
    trains = weights is None
    wall, cpu = time.monotonic(), time.process_time()
    if weights is None:
        found = training.run(ConfigDict({**config, "repeat": again}))
        weights = pretrained.finished_runs(config)[0]
    else:
        where = {"path": str(weights.path.parent), "pretrained": True, "train": False}
        found = training.run(ConfigDict({**config, **where}))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return {
        "recipe": recipe,
        **{key: config[key] for key in ("dataset", "model", "seed", "epochs")},
        **{key: found[key] for key in ("parameters", "best_epoch", "selected_on")},
        **{key: found[key] for key in ("validation_accuracy", "test_accuracy")},
        **{key: found[key] for key in ("test_correct", "test_images")},
        "seconds": found["seconds"],
        # of the whole run; unknown where only its end, or its evaluation, was in this process
        "cpu_seconds": round(cpu, 1) if trains and wall >= found["seconds"] else None,
        "machine": weights.metadata["machine"],
        "data": weights.metadata["data"],
        "trained_by": weights.metadata["git_revision"],
        "evaluated_by": provenance.git_revision(),
        "config": identity(config),
    }


def weights_of(config: ConfigDict) -> Weights | None:
    """The weights of exactly this configuration: shipped, or of a run of one's own."""
    shipped = [w for w in models.list_pretrained() if not differences(w.config, config)]
    return next(iter(shipped + pretrained.finished_runs(config)), None)


def _is_there(recipe: str, seed: int, folder: Path) -> bool:
    """Whether there are figures of exactly this run; says why not where there are others."""
    config = configuration(recipe, seed)
    path = results.path_of(recipe, seed, folder)
    if not path.exists():
        return False
    differing = differences(results.load(path)["config"], config)
    print(f"{path}: " + (f"of another configuration ({differing})" if differing else "is there"))
    return not differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
