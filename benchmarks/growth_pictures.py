"""Draw time and memory against size, both axes logarithmic: a power law is a straight line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

COLOURS = ("#D55E00", "#0072B2")  # vermillion and blue of Okabe & Ito: told apart by everyone
MARKERS = ("s", "o")
GREY = "#707070"
SIZE = 15  # of all text, to be read at half the width


class Curve(NamedTuple):
    """Measured points: sizes, seconds and megabytes, of equal length."""

    sizes: Sequence[int]
    seconds: Sequence[float]
    megabytes: Sequence[float]


def draw(curves: dict[str, Curve], title: str, size_name: str, slope: tuple[str, int]) -> Figure:
    """Two panels, time and peak memory, with one legend beneath.

    Args:
        curves: by the name in the legend, at most two.
        title: what was measured.
        size_name: label of the horizontal axis.
        slope: what a grey line shows, and the power of the size that it grows with.
    """
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=SIZE)
    panels = figure.subplots(1, 2)
    ticks = sorted({size for curve in curves.values() for size in curve.sizes})
    for panel, column, label in zip(panels, (1, 2), ("s", "MB"), strict=True):
        quantity = "time of forward and backward" if column == 1 else "peak memory of the step"
        for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
            panel.loglog(
                curve.sizes, curve[column], color=colour, marker=marker, lw=3, ms=9, label=name
            )
        _reference_slope(panel, list(curves.values())[-1], column, slope, ticks)
        panel.set_xlabel(size_name, fontsize=SIZE)
        panel.set_ylabel(f"{quantity} in {label}", fontsize=SIZE)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.tick_params(labelsize=SIZE)
        panel.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=SIZE)
    return figure


def _reference_slope(
    panel: Axes, curve: Curve, column: int, slope: tuple[str, int], ticks: Sequence[int]
) -> None:
    """A grey line under a curve's first point, as steep as its name says."""
    name, power = slope
    first = curve[column][0] / 2
    heights = [first * (tick / curve.sizes[0]) ** power for tick in ticks]
    panel.loglog(ticks, heights, color=GREY, ls="--", lw=2, label=name)
