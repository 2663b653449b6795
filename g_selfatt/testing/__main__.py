"""A table of the equivariance errors of anyone's module.

python -m g_selfatt.testing --module package:factory --group p4m --size 32
"""

from __future__ import annotations

import argparse
import importlib
import math
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from g_selfatt import groups
from g_selfatt.testing import TOLERANCES, equivariance_error

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float64, torch.float32)}


class _Parser(argparse.ArgumentParser):
    """Reports a user's mistake in one line, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and the message in one line."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the errors and a verdict.

    Args:
        arguments: of the command line; None for those of the process.

    Returns:
        0; 1 where an error is above the tolerance or is no number, or where nothing can be judged
        but the identity.

    Raises:
        SystemExit: 2 for a user's mistake, told in one line; 0 after ``--help``.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    group, dtype = options.group, DTYPES[options.dtype]
    axes = [group.num_elements] if options.on_group else []
    try:
        module = options.module().to(dtype)
        x = torch.randn(options.batch, options.channels, *axes, *options.size, dtype=dtype)
        errors = equivariance_error(module, group, x)
    except Exception as reason:  # whatever the user's code raises
        parser.error(f"{options.module.text}: {type(reason).__name__}: {reason}")
    tolerance = TOLERANCES[dtype] if options.tolerance is None else options.tolerance
    print(f"element  {'action':<26}relative error")
    for h, error in errors.items():
        note = "  interpolated, not judged" if h in errors.interpolated else ""
        print(f"{h:>7}  {_describe(group.matrices[h]):<26}{error:.1e}{note}")
    if len(errors.exact) == 1 < len(errors):
        print(f"no element of {group.name} but the identity can be judged")
        return 1
    failed = [h for h, error in errors.exact.items() if not error <= tolerance]  # nan fails
    judged = (
        f"elements {_list(errors.exact)} of {group.name}" if errors.interpolated else group.name
    )
    verdict = f"{'not ' if failed else ''}equivariant to {judged}"
    worst = f"; elements {_list(failed)} are above" if failed else ""
    print(f"{type(module).__name__} is {verdict}: tolerance {tolerance:.0e}{worst}")
    return 1 if failed else 0


def _list(elements: Iterable[int]) -> str:
    return ", ".join(map(str, elements))


def _parser() -> _Parser:
    parser = _Parser(
        "python -m g_selfatt.testing",
        description="Measure how far a module is from equivariant, for every element of a group.",
        epilog="Exits with 0; 1 above the tolerance; 2 for a mistake on the command line.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--module", type=_Factory, required=True, metavar="PACKAGE:FACTORY",
        help="a function without arguments that returns a torch.nn.Module, or such a module; found "
        "from the current folder")  # fmt: skip
    add("--group", type=_group, required=True, help="a name as groups.get takes, e.g. p4m")
    add("--size", type=_size, default=(32, 32), help="side in pixels, or HEIGHTxWIDTH (32)")
    add("--channels", type=_positive, default=3, help="of the input (%(default)s)")
    add("--batch", type=_positive, default=2, help="images of the input (%(default)s)")
    add("--on-group", action="store_true", help="the input is (B, C, |H|, H, W), not (B, C, H, W)")
    add("--dtype", choices=DTYPES, default="float64", help="of module and input (%(default)s)")
    add("--tolerance", type=_tolerance, help="largest error; by default what rounding explains")
    add(
        "--seed",
        type=int,
        default=0,
        help="of the input, and of the weights that a factory draws (%(default)s)",
    )
    return parser


class _Factory:
    """``package:factory``, imported; called, it gives the module."""

    def __init__(self, text: str) -> None:
        self.text = text
        package, _, name = text.partition(":")
        if not package or not name:
            raise argparse.ArgumentTypeError(f"expected PACKAGE:FACTORY, got {text!r}")
        try:
            self.found: Any = importlib.import_module(package)
            for part in name.split("."):
                self.found = getattr(self.found, part)
        except Exception as error:  # importing runs the user's code
            raise argparse.ArgumentTypeError(f"{text}: {type(error).__name__}: {error}") from error

    def __call__(self) -> nn.Module:
        module = self.found if isinstance(self.found, nn.Module) else self.found()
        if not isinstance(module, nn.Module):
            raise TypeError(f"expected a torch.nn.Module, got {type(module).__name__}")
        return module


def _group(text: str) -> groups.Group:
    try:
        return groups.get(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", text):
        raise argparse.ArgumentTypeError(f"expected pixels as 32 or 24x32, got {text!r}")
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = math.nan
    if not tolerance >= 0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text!r}")
    return tolerance


def _describe(matrix: Tensor) -> str:
    """A matrix on (row, col) in words; angles are counter-clockwise."""
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])) % 360
    if matrix.det() < 0:  # R(θ)·diag(1, −1): its line is the vertical one turned by θ/2
        return f"mirror, line at {degrees / 2:g}°"
    return f"turn by {degrees:g}°" if degrees else "identity"


if __name__ == "__main__":
    sys.exit(main())
