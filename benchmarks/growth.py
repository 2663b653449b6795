"""Measure how time and memory of one attention layer grow with the image and with the group.

    python -m benchmarks.growth --out pictures

Forward and backward of a group layer as in PCam's preset (12 channels, 9 heads, window 5×5), batch
1, in float32: p4 for images of 32 to 512 pixels a side (1024 on a GPU), and groups of 1 to 16
elements at 32×32.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.cases import OURS, REFERENCE
from benchmarks.children import OutOfMemory, in_child
from benchmarks.command_line import Parser, device, new_folder
from benchmarks.growth_pictures import Curve, draw
from benchmarks.memory import CLEAR_REFS, Memory, peak_of
from benchmarks.steps import LayerStep, run
from benchmarks.timing import time_in_turns
from g_selfatt import groups

SIDES = {"cpu": (32, 64, 128, 256, 512), "cuda": (32, 64, 128, 256, 512, 1024)}
GROUPS = ("z2", "p2", "p4", "p8", "p16")
AFFORDABLE_BYTES = 8e9  # larger steps are not tried
LAYER = ", 12 channels, 9 heads, window 5×5, batch 1, float32"
PROMISED = {"cpu": (256, 2e9), "cuda": (1024, 20e9)}  # image side, and bytes of the process


@dataclass(frozen=True)
class Point:
    """One layer on one image."""

    group: str
    side: int

    def build(self, backend: str, device: str) -> LayerStep:
        """Forward and backward of the layer."""
        return LayerStep(self.group, self.side, backend=backend, device=device)

    @property
    def scores(self) -> int:
        """What the reference's memory is proportional to: |H|³ for each pair of pixels."""
        return groups.get(self.group).num_elements ** 3 * self.side**2


@dataclass(frozen=True)
class Cost:
    """Milliseconds and memory of a step."""

    step_ms: float
    memory: Memory


def measure_point(point: Point, backend: str, device: str, threads: int, repeats: int) -> Cost:
    """The memory of one step, then the median time of some. In a process of its own."""
    torch.set_num_threads(threads)
    step = point.build(backend, device)
    run(step)
    memory = peak_of(lambda: run(step), device)
    assert memory is not None  # `main` has looked
    times = time_in_turns({backend: step}, device, repeats)
    return Cost(times[backend].step_ms, memory)


def measure_curve(
    points: Sequence[Point],
    backend: str,
    device: str,
    threads: int,
    repeats: int,
    affordable_bytes: float = AFFORDABLE_BYTES,
) -> dict[Point, Cost]:
    """The costs of points of growing size, as far as memory allows; prints each.

    Args:
        points: of growing size.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
        threads: of the CPU.
        repeats: times are medians of as many.
        affordable_bytes: a step of the reference that is expected to need more is not tried.
    """
    costs: dict[Point, Cost] = {}
    for point in points:
        if costs and backend == REFERENCE:
            # Its memory is that of its scores. What grows more slowly needs no such care.
            smaller, cost = list(costs.items())[-1]
            expected = cost.memory.step * point.scores / smaller.scores
            if expected > affordable_bytes:
                print(f"{_name(point, backend)}  not tried: about {expected / 1e9:.1f} GB")
                break
        try:
            costs[point] = cost = in_child(measure_point, point, backend, device, threads, repeats)
        except OutOfMemory:
            print(f"{_name(point, backend)}  out of memory")
            break
        print(
            f"{_name(point, backend)}  step {cost.step_ms:9.1f} ms  "
            f"memory {cost.memory.step / 1e6:8.1f} MB  process {cost.memory.process / 1e6:8.1f} MB",
            flush=True,
        )
    return costs


def promise(costs: dict[Point, Cost], device: str) -> str:
    """Whether a layer on a large image trains in the memory that is promised, as a line."""
    side, promised = PROMISED[device]
    layer = f"a {side}×{side}×12-channel p4 layer trains in under {promised / 1e9:g} GB"
    cost = costs.get(Point("p4", side))
    if cost is None:
        return f"{layer}: MISSED (out of memory)"
    memory = cost.memory
    verdict = "met" if memory.process < promised else "MISSED"
    return (
        f"{layer}: {verdict} (process {memory.process / 1e9:.2f} GB, "
        f"of which the step {memory.step / 1e9:.2f} GB)"
    )


def _name(point: Point, backend: str) -> str:
    return f"{backend:<10} {point.group:<4} {point.side}×{point.side:<4}"


def _curves(measured: dict[str, dict[Point, Cost]], of_point: dict[Point, int]) -> dict[str, Curve]:
    """What is drawn, against a number of each point; says where a curve was cut short."""
    curves = {}
    for backend, costs in measured.items():
        cut = len(costs) < len(of_point)
        name = f"{backend} (as far as {AFFORDABLE_BYTES / 1e9:g} GB reach)" if cut else backend
        curves[name] = Curve(
            [of_point[point] for point in costs],
            [cost.step_ms / 1e3 for cost in costs.values()],
            [cost.memory.step / 1e6 for cost in costs.values()],
        )
    return curves


def measure(out: Path, device: str, threads: int, repeats: int) -> None:
    """Print all costs, and draw the two pictures into a folder."""
    by_side = {Point("p4", side): side for side in SIDES[device]}
    by_group = {Point(name, 32): groups.get(name).num_elements for name in GROUPS}
    of_side, of_group = (
        {
            backend: measure_curve(list(points), backend, device, threads, repeats)
            for backend in (REFERENCE, OURS[device])
        }
        for points in (by_side, by_group)
    )
    print(promise(of_side[OURS[device]], device))
    pictures = {
        "growth_image.png": draw(
            _curves(of_side, by_side),
            f"one p4 layer{LAYER}",
            "image side in pixels",
            ("linear in the pixels", 2),
        ),
        "growth_group.png": draw(
            _curves(of_group, by_group),
            f"one layer on a 32×32 image{LAYER}",
            "elements |H| of the group",
            ("linear in |H|", 1),
        ),
    }
    for name, picture in pictures.items():
        picture.savefig(out / name, dpi=150)
        print(f"drew {out / name}")


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    parser = Parser("python -m benchmarks.growth", __doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=new_folder, required=True, metavar="DIR", help="where the pictures go"
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_effort(repeats=3)
    options = parser.parse_args(arguments)
    if options.device == "cpu" and not CLEAR_REFS.exists():
        parser.error(f"needs {CLEAR_REFS} of Linux, to measure memory")
    try:
        measure(options.out, options.device, options.threads, options.repeats)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
