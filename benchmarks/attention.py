"""Measure the attention backends on whole steps of the paper's networks, against each other.

    python -m benchmarks.attention
    python -m benchmarks.attention --case rotMNIST-p4sa-b2 --repeats 9 --json figures.json
    python -m benchmarks.attention --backend numba@../before numba

The last one compares the compiled kernels of another checkout with those of this one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import Contender, Measurement, measure, read
from benchmarks.machine import describe
from benchmarks.rates import Rates, measure_rates
from benchmarks.work import step_work
from benchmarks.worker import NetworkStep

BACKENDS = {"cpu": ["reference", "numba"], "cuda": ["reference", "triton"]}
"""What is compared on each device, unless other backends are named."""


def case(model: str, dataset: str, batch: int, **options: Any) -> dict[str, Any]:
    """The arguments of a `benchmarks.worker.NetworkStep`."""
    return {"model": model, "dataset": dataset, "batch": batch, **options}


CASES = {
    "cpu": {
        "rotMNIST-p4sa-b2": case("p4sa", "rotMNIST", 2),
        "rotMNIST-z2sa-b8": case("z2sa", "rotMNIST", 8),
        "rotMNIST-p4msa-b1": case("p4msa", "rotMNIST", 1),
        "CIFAR10-mz2sa-b2": case("mz2sa", "CIFAR10", 2),
        "PCam-p4sa-b1": case("p4sa", "PCam", 1),
        "rotMNIST-p4sa-global-b1": case("p4sa", "rotMNIST", 1, attention_type="Global"),
        "rotMNIST-p4sa-eval-b200": case("p4sa", "rotMNIST", 200, training=False),
    },
    "cuda": {
        "rotMNIST-p4sa-b8": case("p4sa", "rotMNIST", 8),
        "rotMNIST-p4sa-b64": case("p4sa", "rotMNIST", 64),
        "CIFAR10-mz2sa-b24": case("mz2sa", "CIFAR10", 24),
        "PCam-p4msa-b16": case("p4msa", "PCam", 16),
        "rotMNIST-p4sa-global-b8": case("p4sa", "rotMNIST", 8, attention_type="Global"),
        "rotMNIST-p4sa-eval-b200": case("p4sa", "rotMNIST", 200, training=False),
    },
}
"""The cases of each device, in the order in which they are measured."""

COLUMNS = (
    ("case", -24),
    ("backend", -12),
    ("forward ms", 10),
    ("step ms", 9),
    ("memory MB", 9),
    ("× faster", 8),
    ("× less memory", 13),
    ("floor ms", 8),
    ("× floor", 7),
)
"""Names and widths; negative where the text is on the left."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, with ``cases`` by name. Exits with 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    names = "; ".join(f"on {device}: {', '.join(cases)}" for device, cases in CASES.items())
    parser.add_argument("--case", nargs="+", metavar="NAME", help=f"one or several (all). {names}")
    parser.add_argument(
        "--backend",
        nargs="+",
        type=read,
        metavar="NAME",
        help="of the attention; the first is what the others are compared with (reference and "
        "numba on cpu, reference and triton on cuda). NAME@FOLDER is that of another checkout; "
        "flex is PyTorch's FlexAttention, on cuda only and without dropout",
    )
    parser.add_argument("--device", default="cpu", choices=CASES, help="cpu or cuda (%(default)s)")
    parser.add_argument(
        "--json", type=argparse.FileType("a"), metavar="FILE", help="write the figures here too"
    )
    add_effort(parser, repeats=5)
    options = parser.parse_args(arguments)
    known = CASES[options.device]
    for name in options.case or ():
        if name not in known:
            parser.error(
                f"argument --case: unknown case {name!r} for {options.device}; "
                f"choose from {', '.join(known)}"
            )
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: there is no CUDA here, only cpu can be measured")
    options.cases = {name: known[name] for name in options.case or known}
    options.backend = options.backend or [read(name) for name in BACKENDS[options.device]]
    return options


def add_effort(parser: argparse.ArgumentParser, repeats: int) -> None:
    """``--threads`` and ``--repeats``."""
    parser.add_argument(
        "--threads", type=positive, default=2, help="threads of the CPU (%(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=positive,
        default=repeats,
        help="number of steps that a time is the median of (%(default)s)",
    )


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def figures(
    name: str,
    contenders: Sequence[Contender],
    measurements: Sequence[Measurement | None],
    floor_ms: float,
) -> list[dict[str, Any]]:
    """The figures of one case, a dict for each contender; ratios are to the first of them."""
    first = measurements[0] or Measurement()
    rows = []
    for contender, measured in zip(contenders, measurements, strict=True):
        one = measured or Measurement()
        rows.append(
            {"case": name, "backend": str(contender), "out_of_memory": measured is None}
            | one._asdict()
            | {
                "times_faster": _ratio(first.step_ms, one.step_ms),
                "times_less_memory": _ratio(first.memory_bytes, one.memory_bytes),
                "floor_ms": floor_ms,
                "times_floor": _ratio(one.step_ms, floor_ms),
            }
        )
    return rows


def header() -> str:
    """The first line of the table."""
    return _line([name for name, _ in COLUMNS])


def row(figure: dict[str, Any]) -> str:
    """A line of the table."""
    memory = figure["memory_bytes"]
    numbers = [
        figure["forward_ms"],
        figure["step_ms"],
        None if memory is None else memory / 1e6,
        figure["times_faster"],
        figure["times_less_memory"],
        figure["floor_ms"],
        figure["times_floor"],
    ]
    line = _line([figure["case"], figure["backend"], *map(_number, numbers)])
    return f"{line}  OUT OF MEMORY" if figure["out_of_memory"] else line


def _ratio(above: float | None, below: float | None) -> float | None:
    """None also where a step took no memory that could be seen."""
    return above / below if above is not None and below else None


def _number(value: float | None) -> str:
    """Three digits, or more where the number is larger."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    padded = (
        cell.ljust(-width) if width < 0 else cell.rjust(width)
        for cell, (_, width) in zip(cells, COLUMNS, strict=True)
    )
    return "  ".join(padded).rstrip()


def floor(what: dict[str, Any], device: str, rates: Rates) -> float:
    """The floor of a case in milliseconds; takes one forward of one image."""
    step = NetworkStep(**what | {"batch": 1}, backend="auto", device=device)
    return what["batch"] * step_work(step, step.network).floor_ms(rates)


def main(arguments: Sequence[str]) -> int:
    """Measure and print what a command line asks for; returns the exit code."""
    options = parse(arguments)
    device, threads, repeats = options.device, options.threads, options.repeats
    torch.set_num_threads(threads)
    machine, rates = describe(device, threads), measure_rates(device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(rates)
    print(header(), flush=True)
    rows: list[dict[str, Any]] = []
    try:
        for name, what in options.cases.items():
            measured = measure(options.backend, what, device, threads, repeats)
            rows += figures(name, options.backend, measured, floor(what, device, rates))
            print("\n".join(row(one) for one in rows[-len(measured) :]), flush=True)
    except ValueError as error:  # a backend that cannot run a case
        print(f"python -m benchmarks.attention: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if options.json is not None:
        result = {"machine": machine, "rates": rates._asdict(), "repeats": repeats, "cases": rows}
        Path(options.json.name).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
