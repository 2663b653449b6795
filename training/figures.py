"""The figures of a run: read from the test images, kept and reported."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from g_selfatt.models import model_entry
from training import confusion, curves, distributed
from training.evaluation import Score, evaluate
from training.experiment import Experiment
from training.run_folder import (
    CONFIG,
    CONFUSION,
    CURVES,
    METRICS,
    WEIGHTS,
    printable,
    write_atomic,
)

logger = logging.getLogger(__name__)
_LOWEST = 3  # classes whose accuracies are printed


def test(experiment: Experiment) -> Score:
    """Evaluate the network on the test images, with a progress bar."""
    loader = experiment.batches("test")
    batches = distributed.in_step(loader, distributed.raise_for_all)
    return evaluate(
        experiment.model,
        batches,
        experiment.precision,
        title="test images",
        images=len(loader.split),
        classes=experiment.splits.info.num_classes,
    )


def figures(score: Score, classes: Sequence[str]) -> dict[str, Any]:
    """The figures of the test images as they are kept.

    Args:
        score: from `test`.
        classes: names of the classes.
    """
    return {
        "test_loss": score.loss,
        "test_accuracy": score.accuracy,
        "test_correct": score.correct,
        "test_images": score.images,
        "class_accuracy": {
            name: correct / images if images else None
            for name, correct, images in _by_class(score, classes)
        },
    }


def by_class(score: Score, classes: Sequence[str]) -> str:
    """The lowest accuracies of the classes, in a line that fits a terminal."""
    rows = [row for row in _by_class(score, classes) if row[2]]
    mean = sum(correct / images for _, correct, images in rows) / len(rows)
    lowest = sorted(rows, key=lambda row: row[1] / row[2])[:_LOWEST]
    shown = ", ".join(f"{name} at {right / images:.1%}" for name, right, images in lowest)
    return f"accuracy by class: lowest {shown}; mean over the classes {mean:.2%}"


def _by_class(score: Score, classes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, images right and images of every class."""
    matrix = score.confusion
    right, images = matrix.diagonal().tolist(), matrix.sum(dim=1).tolist()
    return list(zip(classes, right, images, strict=True))


def summary(
    experiment: Experiment, results: Mapping[str, Any], score: Score, folder: Path | None
) -> str:
    """What a training has come to, in six lines; the last says what to do next.

    Args:
        experiment: what was trained.
        results: the figures of the run.
        score: of the test images.
        folder: of the run; None where nothing is kept.
    """
    config, splits = experiment.config, experiment.splits
    lines = [
        f"{config.model} on {config.dataset}, seed {config.seed}: {results['parameters']:,} "
        f"parameters, {len(splits.train):,} training images",
        f"test accuracy: {score}, with the weights of epoch {results['best_epoch']} of "
        f"{results['epochs']}, the best on the {results['selected_on']} images",
        by_class(score, splits.info.class_names),
        f"time: {tqdm.format_interval(results['seconds'])} on {experiment.machine}",
    ]
    if folder is None:
        return "\n".join([*lines, "smoke run: nothing is kept"])
    predict = f"python -m training.predict {shlex.quote(str(folder))} IMAGE"
    if not model_entry(config.model).of_library:
        predict += " --import YOUR_FILE.py"
    beside = f"{METRICS}, {CONFIG}, {CURVES} and {CONFUSION}"
    lines += [
        f"weights: {folder / WEIGHTS}; beside them {beside}",
        f"next: look at {folder / CURVES}; {predict}",
    ]
    return "\n".join(lines)


def write_pictures(
    folder: Path,
    history: Sequence[Mapping[str, Any]],
    results: Mapping[str, Any],
    confusion_matrix: Tensor,
    classes: Sequence[str],
) -> None:
    """Draw curves.png and confusion.png; one that cannot be drawn is a warning."""
    name = folder.name
    for file, picture in {
        CURVES: lambda path: curves.draw(path, name, history, results),
        CONFUSION: lambda path: confusion.draw(path, name, confusion_matrix, classes),
    }.items():
        try:
            picture(folder / file)
        except Exception as error:  # whatever drawing needs: it is the weights that matter
            logger.warning("%s could not be drawn: %s", folder / file, error)


def say(line: str) -> None:
    """Print a line, whatever its paths are made of, from the first process."""
    if distributed.rank() == 0:
        print(printable(line))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl: a line of JSON for each row."""
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
