"""The figures of a run: read from the test images, kept and reported."""

import json
from pathlib import Path
from typing import Any

from training import distributed
from training.evaluation import Score, evaluate
from training.experiment import Experiment
from training.run_folder import printable, write_atomic


def test(experiment: Experiment) -> Score:
    """Evaluate the network on the test images, with a progress bar."""
    loader = experiment.batches("test")
    batches = distributed.in_step(loader, distributed.raise_for_all)
    bar = {"title": "test images", "images": len(loader.split)}
    return evaluate(experiment.model, batches, experiment.precision, **bar)


def figures(score: Score) -> dict[str, Any]:
    """The figures of the test images as they are kept."""
    return {
        "test_loss": score.loss,
        "test_accuracy": score.accuracy,
        "test_correct": score.correct,
        "test_images": score.images,
    }


def say(line: str) -> None:
    """Print a line, whatever its paths are made of, from the first process."""
    if distributed.rank() == 0:
        print(printable(line))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl: a line of JSON for each row."""
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
