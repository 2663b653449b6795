"""Accuracy against the angle of the test images, of networks that were trained on upright ones.

A network of p4 answers the same after a quarter turn, so what it knows of upright digits it knows
four times; in between it has to make do with digits that look turned. The lines are means over the
seeds and the bands their range, as measured by `python -m demo.upright`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demo import style
from g_selfatt.datasets.upright_digits import turned_test
from runs.results import RESULTS

FIGURES = RESULTS / "upright.json"
TITLE = "Trained upright only, p4 still reads quarter turns"
# what a line is called, where its label stands (degrees, per cent), colour and line
NETWORKS = {
    "p4convnet": ("group convolution, p4", (81, 108), style.BLUE, "-"),
    "p4sa": ("group self-attention, p4", (272, 108), style.GREEN, "--"),
    "z2convnet": ("plain CNN", (110, 3), style.ORANGE, "-."),
}
DIGIT = 9  # number of the test image that is shown
HEIGHT = 4.9  # inches


def draw(folder: Path, figures: Path = FIGURES) -> Path:
    """Draw upright.png into a folder from the figures of `demo.upright`."""
    measured = json.loads(figures.read_text())
    figure = style.card(TITLE, HEIGHT)
    axis = figure.add_axes((0.115, 0.29, 0.85, 0.49))
    angles = np.arange(0, 361, measured["step"])
    for name, (label, place, colour, line) in NETWORKS.items():
        percent = 100 * np.array(measured["right"][name]) / measured["images"]
        percent = np.concatenate([percent, percent[:, :1]], axis=1)  # 360° is 0°
        axis.plot(angles, percent.mean(axis=0), color=colour, linestyle=line, lw=2.5)
        axis.fill_between(angles, percent.min(0), percent.max(0), color=colour, alpha=0.2, lw=0)
        axis.text(*place, label, color=colour, fontsize=style.SIZE, weight="bold", ha="center")
    style.quiet(axis)
    axis.set_xlim(-12, 372)
    axis.set_ylim(0, 103)
    axis.set_yticks(range(0, 101, 25), [f"{percent} %" for percent in range(0, 101, 25)])
    axis.set_xticks(range(0, 361, 45), [f"{angle}°" for angle in range(0, 361, 45)])
    style.write(figure, 0.5, 0.865, "test accuracy at every angle of the test digits")
    _draw_digits(figure, axis)
    return style.save(figure, folder / "upright.png")


def _draw_digits(figure: Figure, axis: Axes) -> None:
    """The digit below every tick."""
    low, high = axis.get_xlim()
    left, _, width, _ = axis.get_position().bounds
    size = 0.075
    for angle in range(0, 361, 45):
        middle = left + width * (angle - low) / (high - low)
        box = (middle - size / 2, 0.055, size, size * style.WIDTH / HEIGHT)
        image = turned_test(angle % 360).images[DIGIT, 0]
        style.show(figure.add_axes(box), 255 - image, cmap="gray")
