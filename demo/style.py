"""How every picture looks: a light card that stands on white and on black pages alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

# Okabe and Ito's colours, which colour-blind readers tell apart, each with a line of its own.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
CARD, INK, GREY = "#FAFAF7", "#1F2328", "#6E7781"
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
WIDTH = 7.2  # inches, of every picture; text of 12 points is read on a phone
SIZE = 13  # points, of all text but the title
DPI = 200


def card(title: str, height: float) -> Figure:
    """An empty picture, `WIDTH` × height inches, with its message on top."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="none")
    edge = 0.08  # inches of rounding
    box = FancyBboxPatch(
        (edge / WIDTH, edge / height),
        1 - 2 * edge / WIDTH,
        1 - 2 * edge / height,
        boxstyle=f"round,pad={edge / WIDTH}",
        mutation_aspect=WIDTH / height,
        transform=figure.transFigure,
        facecolor=CARD,
        edgecolor="none",
        zorder=-1,
    )
    figure.add_artist(box)
    write(figure, 0.5, 1 - 0.33 / height, title, size=16, weight="bold")
    return figure


def write(figure: Figure, x: float, y: float, text: str, **options: Any) -> None:
    """Text in the middle of a place, in fractions of the figure."""
    size = options.pop("size", SIZE)
    options = {"ha": "center", "va": "center", "color": INK} | options
    figure.text(x, y, text, fontsize=size, **options)


def show(axis: Axes, image: Tensor, **options: Any) -> None:
    """An image ``(H, W)`` or ``(H, W, 3)`` without ticks, in a thin frame."""
    axis.imshow(image.numpy(), interpolation="nearest", **options)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=GREY, linewidth=0.8)


def arrow(a: Axes, b: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from a place in one axes to a place in another, in fractions of them."""
    b.annotate(
        "",
        xy=end,
        xytext=start,
        xycoords="axes fraction",
        textcoords=a.transAxes,
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.5, "shrinkA": 3, "shrinkB": 3},
    )


def quiet(axis: Axes) -> None:
    """A diagram's axes: no box, thin grid, text of one size."""
    axis.set_facecolor("none")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=SIZE, colors=INK)
    axis.grid(color=GREY, alpha=0.25, linewidth=0.8)


def save(figure: Figure, path: Path) -> Path:
    """Write a picture, and return where it is."""
    figure.savefig(path, facecolor="none")
    return path
