"""Measure how time and memory of one attention layer grow with the image and with the group.

    python -m benchmarks.growth --out pictures

Forward and backward of a group layer as in PCam's preset (12 channels, 9 heads, window 5×5), batch
1, in float32: p4 for images of 32 to 512 pixels a side (1024 on a GPU), and groups of 1 to 16
elements at 32×32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.attention import BACKENDS, add_effort
from benchmarks.contenders import Measurement, measure, read
from benchmarks.growth_pictures import Curve, draw
from benchmarks.worker import AFFORDABLE_BYTES
from g_selfatt import groups

SIDES = {"cpu": (32, 64, 128, 256, 512), "cuda": (32, 64, 128, 256, 512, 1024)}
GROUPS = ("z2", "p2", "p4", "p8", "p16")
LAYER = ", 12 channels, 9 heads, window 5×5, batch 1, float32"


def measure_curve(
    steps: dict[int, dict[str, Any]], backend: str, device: str, threads: int, repeats: int
) -> dict[int, Measurement]:
    """The costs of steps of growing size, up to the first that is out of memory; prints each.

    Args:
        steps: layers as `benchmarks.worker` builds them, by their size.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
        threads: of the CPU.
        repeats: number of steps that a time is the median of.
    """
    costs: dict[int, Measurement] = {}
    for size, what in steps.items():
        name = f"{backend:<10} {what['group']:<4} {what['side']}×{what['side']:<4}"
        (cost,) = measure([read(backend)], what, device, threads, repeats)
        if cost is None:
            print(f"{name}  out of memory")
            break
        if cost.memory_bytes is None or cost.process_bytes is None:
            raise ValueError("the memory of a process can be measured on Linux only")
        print(
            f"{name}  step {cost.step_ms:9.1f} ms  memory {cost.memory_bytes / 1e6:8.1f} MB  "
            f"process {cost.process_bytes / 1e6:8.1f} MB",
            flush=True,
        )
        costs[size] = cost
    return costs


def measure_curves(steps: dict[int, dict[str, Any]], device: str, *effort: int) -> dict[str, Curve]:
    """What is drawn, for both backends; arguments as of `measure_curve`."""
    curves = {}
    for backend in BACKENDS[device]:
        costs = measure_curve(steps, backend, device, *effort)
        cut = len(costs) < len(steps)
        name = f"{backend} (as far as {AFFORDABLE_BYTES / 1e9:g} GB reach)" if cut else backend
        curves[name] = Curve(
            list(costs),
            [(cost.step_ms or 0) / 1e3 for cost in costs.values()],
            [(cost.memory_bytes or 0) / 1e6 for cost in costs.values()],
        )
    return curves


def main(arguments: Sequence[str]) -> int:
    """Measure, print and draw; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the pictures"
    )
    parser.add_argument("--device", default="cpu", choices=SIDES, help="cpu or cuda (%(default)s)")
    add_effort(parser, repeats=3)
    options = parser.parse_args(arguments)
    effort = (options.threads, options.repeats)
    by_side = {side: {"group": "p4", "side": side} for side in SIDES[options.device]}
    by_group = {groups.get(name).num_elements: {"group": name, "side": 32} for name in GROUPS}
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        of_side = measure_curves(by_side, options.device, *effort)
        of_group = measure_curves(by_group, options.device, *effort)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    pictures = {
        "growth_image.png": draw(
            of_side, f"one p4 layer{LAYER}", "image side in pixels", ("linear in the pixels", 2)
        ),
        "growth_group.png": draw(
            of_group,
            f"one layer on a 32×32 image{LAYER}",
            "elements |H| of the group",
            ("linear in |H|", 1),
        ),
    }
    for name, picture in pictures.items():
        picture.savefig(options.out / name, dpi=150)
        print(f"drew {options.out / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
