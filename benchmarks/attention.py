"""Measure the attention backends on whole training steps, against the reference.

python -m benchmarks.attention
python -m benchmarks.attention --case rotMNIST-p4sa-b2 --repeats 9 --json figures.json
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.cases import CASES, FLEX, OURS, REFERENCE, Case
from benchmarks.command_line import Parser, device, new_file
from benchmarks.machine import describe
from benchmarks.measurement import measure_case
from benchmarks.rates import measure_rates
from g_selfatt.backends import BACKENDS

CANDIDATES = [*(name for name in BACKENDS if name != REFERENCE), FLEX]


def parse(arguments: Sequence[str]) -> Namespace:
    """The options of a command line; ``cases`` are `Case` objects. Exits with 2 for a mistake."""
    parser = Parser("python -m benchmarks.attention", __doc__.splitlines()[0])
    names = "; ".join(
        f"on {name}: {', '.join(case.name for case in cases)}" for name, cases in CASES.items()
    )
    parser.add_argument(
        "--case", action="append", metavar="NAME", help=f"may be repeated (all). {names}"
    )
    parser.add_argument(
        "--backend",
        action="append",
        choices=CANDIDATES,
        help=f"compared with the reference; may be repeated (numba on cpu, triton on cuda). "
        f"{FLEX} is PyTorch's FlexAttention, on cuda alone and without dropout",
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures here too")
    parser.add_effort(repeats=5)
    options = parser.parse_args(arguments)
    known = {case.name: case for case in CASES[options.device]}
    for name in options.case or ():
        if name not in known:
            parser.error(
                f"argument --case: unknown case {name!r} for {options.device}; "
                f"choose from {', '.join(known)}"
            )
    if FLEX in (options.backend or ()) and options.device == "cpu":
        parser.error(f"argument --backend: {FLEX} has no backward on the CPU, use --device cuda")
    options.cases = [known[name] for name in dict.fromkeys(options.case or known)]
    options.backend = list(dict.fromkeys(options.backend or [OURS[options.device]]))
    return options


def measure(
    cases: Sequence[Case],
    backends: list[str],
    *,
    device: str,
    threads: int,
    repeats: int,
    json_file: Path | None,
) -> None:
    """Print the table of some cases as it grows, and write it to a file of JSON."""
    torch.set_num_threads(threads)
    machine, rates = describe(device, threads), measure_rates(device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(report.rates_line(rates))
    print(report.header(), flush=True)
    measured = []
    for case in cases:
        measurements = measure_case(case, backends, device, threads, repeats, rates)
        print("\n".join(report.rows(case, measurements)), flush=True)
        measured.append((case, measurements))
    if json_file is not None:
        objects = [row for of_case in measured for row in report.as_json(*of_case)]
        peak = {"multiply_adds_per_s": rates.multiply_adds, "bytes_per_s": rates.bytes}
        figures = {"machine": machine, "peak_rates": peak, "repeats": repeats, "cases": objects}
        json_file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    options = parse(arguments)
    try:
        measure(
            options.cases,
            options.backend,
            device=options.device,
            threads=options.threads,
            repeats=options.repeats,
            json_file=options.json,
        )
    except ValueError as error:  # a backend that cannot run a case
        print(f"python -m benchmarks.attention: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
