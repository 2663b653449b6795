"""Command lines whose mistakes end in one line and exit code 2."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

import torch

PROTOCOL_THREADS = 2


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` whose error is one line, without the usage before it.

    Args:
        command: what the user types, e.g. ``"python -m benchmarks.attention"``.
        purpose: one line for ``--help``.
    """

    def __init__(self, command: str, purpose: str) -> None:
        super().__init__(prog=command, description=purpose, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say what was wrong in one line, and end."""
        self.exit(2, f"{self.prog}: {message}\n")

    def add_effort(self, repeats: int) -> None:
        """``--threads`` and ``--repeats``."""
        self.add_argument(
            "--threads",
            type=positive,
            default=PROTOCOL_THREADS,
            help="threads of the CPU (%(default)s)",
        )
        self.add_argument(
            "--repeats",
            type=positive,
            default=repeats,
            help="times are medians of as many steps (%(default)s)",
        )


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def device(text: str) -> str:
    """A device that this machine has."""
    if text not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"expected cpu or cuda, got {text!r}")
    if text == "cuda" and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError("there is no CUDA here, only cpu can be measured")
    return text


def new_file(text: str) -> Path:
    """A file that can be written, tried before hours of measuring."""
    path = Path(text)
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from error
    return path


def new_folder(text: str) -> Path:
    """A folder, made where there is none."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make {text!r}: {error.strerror}") from error
    return path
