"""Measure how time and memory of one attention layer grow with the side of the image.

    python -m benchmarks.growth        writes benchmarks/growth.json, which `make pictures` draws

Forward and backward of a p4 group layer as in PCam's preset (12 channels, 9 heads, window 5×5),
batch 1, in float32, for images of 32 to 512 pixels a side (1024 on a GPU). The reference backend,
which computes as the released code does, ends where it is out of memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.attention import BACKENDS, add_effort
from benchmarks.contenders import measure, read
from benchmarks.machine import describe

FIGURES = Path(__file__).with_name("growth.json")
SIDES = {"cpu": (32, 64, 128, 256, 512), "cuda": (32, 64, 128, 256, 512, 1024)}


def measure_sides(
    backend: str, sides: Sequence[int], device: str, threads: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """The cost of a step for each side, up to the first that is out of memory; prints each.

    Args:
        backend: of the attention.
        sides: of the images, in pixels, growing.
        device: ``"cpu"`` or ``"cuda"``.
        threads: of the CPU.
        repeats: number of steps that a time is the median of.

    Yields:
        ``backend``, ``side``, ``seconds`` and ``megabytes``; the last two are None where a process
        is out of memory.
    """
    for side in sides:
        step = {"group": "p4", "side": side}
        (cost,) = measure([read(backend)], step, device, threads, repeats)
        name = f"{backend:<10} {side}×{side:<4}"
        if cost is None:
            print(f"{name}  out of memory")
            yield {"backend": backend, "side": side, "seconds": None, "megabytes": None}
            return
        if cost.memory_bytes is None or cost.step_ms is None:
            raise ValueError("the memory of a process can be measured on Linux only")
        seconds, megabytes = cost.step_ms / 1e3, cost.memory_bytes / 1e6
        print(f"{name}  step {seconds:9.4f} s  memory {megabytes:8.1f} MB", flush=True)
        yield {"backend": backend, "side": side, "seconds": seconds, "megabytes": megabytes}


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("--device", default="cpu", choices=SIDES, help="cpu or cuda (%(default)s)")
    parser.add_argument(
        "--json", type=Path, default=FIGURES, metavar="FILE", help="where the figures are written"
    )
    add_effort(parser, repeats=3)
    options = parser.parse_args(arguments)
    if not options.json.parent.is_dir():
        parser.error(f"cannot write {options.json}: there is no such folder")
    effort = (options.device, options.threads, options.repeats)
    try:
        figures = [
            figure
            for backend in BACKENDS[options.device]
            for figure in measure_sides(backend, SIDES[options.device], *effort)
        ]
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    result = describe(options.device, options.threads) | {"figures": figures}
    options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
