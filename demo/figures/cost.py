"""Time and memory of one layer against the side of the image; figures of `benchmarks.growth`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from benchmarks.growth import FIGURES
from demo import style

CURVES = {
    "reference": ("released code's formulation", style.ORANGE, "s"),
    "numba": ("this code", style.BLUE, "o"),
    "triton": ("this code", style.BLUE, "o"),
}
PANELS = {"seconds": ("time", "s"), "megabytes": ("memory", "MB")}


def draw(folder: Path, figures: Path = FIGURES) -> Path:
    """Draw both panels, and write how far apart the curves are where both still run."""
    measured = json.loads(figures.read_text(encoding="utf-8"))
    by_backend: dict[str, list[dict[str, Any]]] = {}
    for point in measured["figures"]:
        by_backend.setdefault(point["backend"], []).append(point)
    figure = style.card(_title(by_backend), 4.3)
    for left, (quantity, (name, unit)) in zip((0.12, 0.62), PANELS.items(), strict=True):
        axis = figure.add_axes((left, 0.2, 0.34, 0.52))
        style.quiet(axis)
        for backend, points in by_backend.items():
            _draw_curve(axis, points, quantity, *CURVES[backend][1:])
        sides = sorted({point["side"] for point in measured["figures"]})
        axis.set(xscale="log", yscale="log", xlim=(sides[0] / 1.25, sides[-1] * 1.25))
        axis.set_xticks(sides, [str(side) for side in sides])
        axis.set_ylim(top=3 * axis.get_ylim()[1])  # room for a label
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_title(f"{name} of one step, {unit}", fontsize=style.SIZE, color=style.INK)
        axis.set_xlabel("side of the image, pixels", fontsize=style.SIZE, color=style.INK)
    for x, backend in zip((0.29, 0.77), by_backend, strict=False):
        label, colour, _ = CURVES[backend]
        style.write(figure, x, 0.845, label, color=colour, weight="bold", size=14)
    return style.save(figure, folder / "cost.png")


def _title(by_backend: dict[str, list[dict[str, Any]]]) -> str:
    """How much cheaper the second backend is, on the largest image that both can do."""
    first, second = ({p["side"]: p for p in points} for points in by_backend.values())
    side = max(side for side in first if first[side]["seconds"] and side in second)
    less, faster = (first[side][key] / second[side][key] for key in ("megabytes", "seconds"))
    return f"The same layer: {less:.0f}× less memory, {faster:.0f}× faster"


def _draw_curve(
    axis: Axes, points: list[dict[str, Any]], quantity: str, colour: str, marker: str
) -> None:
    """A curve over the sides that were measured, and a cross where it is out of memory."""
    sides = [point["side"] for point in points if point[quantity] is not None]
    values = [point[quantity] for point in points if point[quantity] is not None]
    axis.plot(sides, values, color=colour, marker=marker, lw=2.5, ms=8)
    for point in points[len(values) :]:
        top = values[-1] * (point["side"] / sides[-1]) ** 2  # grows at least with the pixels
        axis.plot([sides[-1], point["side"]], [values[-1], top], color=colour, lw=2, ls=":")
        axis.plot(point["side"], top, color=colour, marker="x", ms=13, mew=3.5)
        axis.annotate(
            "out of\nmemory",
            (point["side"], top),
            xytext=(11, 0),
            textcoords="offset points",
            va="center",
            fontsize=12,
            color=colour,
        )
