"""Classify images with a trained network.

    python -m training.predict RUN_FOLDER_OR_NAME IMAGE|FOLDER… [--top 3] [--csv out.csv]
        [--attention OUT_DIR] [--import my_run.py]

The network is that of a run folder, or shipped weights by their full name. A line for each image:
the file, and the most probable classes.
"""

from __future__ import annotations

import argparse
import csv
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from g_selfatt.datasets.errors import one_line
from g_selfatt.datasets.image_files import SUFFIXES
from training.allocator import is_out_of_memory
from training.attention_pictures import draw, picture_names, refuse_without_attention
from training.errors import UserError
from training.prediction import Prediction, find_files, load_network, predict_batches
from training.run_folder import printable
from training.stopping import drop_output


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
    parser.add_argument(
        "--import", dest="own_file", type=Path, help="your file that registers the network"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Print a line for each image.

    Returns:
        The exit code: 2 for a mistake of the user's, such as a file among others that is no image,
        and where memory ends; 130 after Ctrl-C. What has been predicted by then is printed and in
        the table.
    """
    options = _parser().parse_args(arguments)
    try:
        return _predict(options)
    except BrokenPipeError:  # `| head`
        drop_output()
        return 0
    except (UserError, OSError) as error:
        print(printable(one_line(error)), file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(
            "out of memory: end other programs, or take a machine with more; what was predicted is "
            "printed",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _predict(options: argparse.Namespace) -> int:
    if options.top < 1:
        raise UserError(f"--top: got {options.top}, expected at least 1")
    if options.own_file:
        _import(options.own_file)
    network = load_network(options.weights)
    if options.attention:
        refuse_without_attention(network)
        _refuse_inside(options.attention, options.images)
        options.attention.mkdir(parents=True, exist_ok=True)
    if options.csv and options.csv.suffix.lower() in SUFFIXES:
        raise UserError(f"--csv: {options.csv} is the name of an image; a table is written there")
    files = list(dict.fromkeys(find_files(options.images)))
    names = picture_names(files)
    code = 0

    def pass_over(error: UserError) -> None:
        nonlocal code
        code = 2
        tqdm.write(printable(str(error)), file=sys.stderr)

    with _table(options.csv, network.pretrained_config["classes"]) as add_to_table:
        for x, batch in predict_batches(network, files, pass_over):
            for one in batch:
                best = list(one.probabilities.items())[: options.top]
                line = f"{one.file}: " + ", ".join(f"{name} {p:.1%}" for name, p in best)
                tqdm.write(printable(line))
            sys.stdout.flush()  # a reader that has left is met here
            add_to_table(batch)
            if options.attention:
                pictures = {one.file: options.attention / names[one.file] for one in batch}
                draw(network, x, pictures)
    return code


def _refuse_inside(pictures: Path, images: Sequence[str]) -> None:
    """UserError where the next time the pictures would be among the images."""
    for path in map(Path, images):
        if path.is_dir() and pictures.resolve().is_relative_to(path.resolve()):
            raise UserError(f"--attention: {pictures} is inside {path}: give a folder elsewhere")


def _import(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    sys.path.insert(0, str(path.resolve().parent))  # as if it were run: for what it imports
    try:
        runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


@contextmanager
def _table(
    path: Path | None, classes: Sequence[str]
) -> Iterator[Callable[[Sequence[Prediction]], None]]:
    """Lend a function that appends rows to a CSV file; one that does nothing without a file."""
    if path is None:
        yield lambda predictions: None
        return
    try:
        opened = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"--csv: cannot write {path}: {error.strerror}") from error
    with opened as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", *classes])

        def add(predictions: Sequence[Prediction]) -> None:
            for one in predictions:
                row = (one.probabilities[name] for name in classes)
                writer.writerow([one.file, one.label, *row])
            file.flush()

        yield add


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
