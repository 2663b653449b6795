"""Classify images with a trained network.

    python -m training.predict RUN_FOLDER_OR_NAME IMAGE|FOLDER… [--top 3] [--csv out.csv]
        [--attention OUT_DIR]

The network is that of a run folder, or shipped weights by their full name. A line for each image:
the file, and the most probable classes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from g_selfatt.datasets.errors import one_line
from training.attention_pictures import draw, refuse_without_attention
from training.errors import UserError
from training.prediction import Prediction, find_files, load_network, predict_batches


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.predict",
        description="Classify images with a trained network.",
    )
    parser.add_argument("weights", help="a run folder, or the full name of shipped weights")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--top", type=int, default=3, help="classes to print (default: 3)")
    parser.add_argument("--csv", type=Path, help="file for the probabilities of all classes")
    parser.add_argument(
        "--attention", type=Path, help="folder for pictures of what the network looks at"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Print a line for each image; returns the exit code, 2 for a mistake of the user's."""
    options = _parser().parse_args(arguments)
    try:
        network = load_network(options.weights)
        if options.attention:
            refuse_without_attention(network)
        predictions = []
        for x, batch in predict_batches(network, find_files(options.images)):
            for one in batch:
                best = list(one.probabilities.items())[: max(1, options.top)]
                tqdm.write(f"{one.file}: " + ", ".join(f"{name} {p:.1%}" for name, p in best))
            if options.attention:
                draw(network, x, [one.file for one in batch], options.attention)
            predictions += batch
        if options.csv:
            _write(options.csv, network.pretrained_config["classes"], predictions)
    except (UserError, OSError) as error:
        print(one_line(error), file=sys.stderr)
        return 2
    return 0


def _write(path: Path, classes: Sequence[str], predictions: Sequence[Prediction]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", *classes])
        for one in predictions:
            writer.writerow([one.file, one.label, *(one.probabilities[name] for name in classes)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
