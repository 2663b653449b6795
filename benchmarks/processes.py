"""Seconds of an epoch on one process of N threads, and on N processes of one thread (torchrun).

    python -m benchmarks.processes [--count 2] [--epochs 4] [--config.KEY=VALUE …]

The same run of main.py both ways, in turns; options with ``--config.`` go to main.py. The first
epoch of each is left out: it compiles. Validation is part of an epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MAIN = Path(__file__).parents[1] / "main.py"


def seconds_of_epochs(processes: int, threads: int, arguments: list[str]) -> list[float]:
    """Run main.py in a folder of its own; the seconds of its epochs but the first."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, str(MAIN), f"--config.save_dir={folder}", "--config.device=cpu", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            last = done.stdout.strip().splitlines()[-1:]
            print(f"main.py {' '.join(arguments)}: {''.join(last)}", file=sys.stderr)
            sys.exit(done.returncode)
        (metrics,) = Path(folder).glob("*/metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [row["seconds"] for row in rows if "epoch" in row][1:]


def main(argv: list[str] | None = None) -> None:
    """Run both ways and one thread only, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.processes",
        description=__doc__.splitlines()[0],
        epilog="--config.KEY=VALUE: options of main.py",
    )
    parser.add_argument("--count", type=int, default=2, help="threads, and processes")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of a run, at least 2")
    parser.add_argument("--repeats", type=int, default=2, help="runs each way")
    options, arguments = parser.parse_known_args(argv)
    if options.epochs < 2 or options.count < 1:
        parser.error("--epochs must be at least 2, --count at least 1")
    if foreign := [argument for argument in arguments if not argument.startswith("--config.")]:
        parser.error(f"{foreign[0]}: expected --config.KEY=VALUE")
    arguments.append(f"--config.epochs={options.epochs}")
    ways = {
        f"1 process, {options.count} threads": (1, options.count),
        f"{options.count} processes, 1 thread": (options.count, 1),
        "1 process, 1 thread": (1, 1),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, (processes, threads) in ways.items():
            seconds[way] += seconds_of_epochs(processes, threads, arguments)
    slowest = max(map(statistics.median, seconds.values()))
    print("| way | s an epoch | faster |\n|---|---|---|")
    for way, values in seconds.items():
        median = statistics.median(values)
        print(f"| {way} | {median:.2f} | {slowest / median:.2f}× |")


if __name__ == "__main__":
    main()
