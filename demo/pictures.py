"""What the notebooks of demo/ share: a digit to look at, names of group elements, and the pictures.

    from demo import pictures

Every picture is returned as a figure, for a notebook to show or for a program to save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from demo.networks import Normalize, rot_digit
from demo.style import COLOURS, LINES
from g_selfatt import datasets
from g_selfatt.functional import inscribed_disc
from g_selfatt.groups import Group

DPI = 72
FONT_SIZE = 12


def load_digit(index: int = 0) -> Tensor:
    """A test image of rotDigits as the networks take it: ``(1, 1, 12, 12)`` float64, normalized."""
    return Normalize(datasets.INFO["rotDigits"])(rot_digit(index)[0])


def element_names(group: Group) -> list[str]:
    """How to call the elements in a picture: ``0°``, ``90°``, …; ``90°·m`` is a mirror, then 90°.

    The elements of a group that is in no such order are called by their numbers.
    """
    rotations = group.num_rotations
    if rotations is None:
        return [str(h) for h in range(group.num_elements)]
    names = [f"{360 * k / rotations:g}°" for k in range(rotations)]
    mirrors = ["m" if k == 0 else f"{name}·m" for k, name in enumerate(names)]
    return (names + mirrors)[: group.num_elements]


def group_equivariance(
    network: nn.Module, group: Group, image: Tensor, h: int, *, channel: int = 0
) -> Figure:
    """`equivariance` under the group element h; one column for each element of the group."""
    names = element_names(group)
    return equivariance(
        network,
        image,
        lambda signal: group.act_on_signal(signal, h),
        names[h],
        [f"h = {name}" for name in names],
        channel=channel,
        in_disc=h not in group.grid_elements,
    )


def equivariance(
    network: nn.Module,
    image: Tensor,
    act: Callable[[Tensor], Tensor],
    action: str,
    columns: Sequence[str],
    *,
    channel: int = 0,
    in_disc: bool = False,
) -> Figure:
    """Three rows: f and N(f), g·f and N(g·f), and the difference N(g·f) − g·N(f).

    All the feature maps share one scale of colours. A difference that is rounding is drawn on it
    too, or on one as wide around zero; a larger one on a scale of its own, so that it can be seen.

    Args:
        network: N, maps f to ``(1, C, |H|, H', W')``.
        image: f, ``(1, C, H, W)`` or ``(1, C, |H|, H, W)``; the first of its maps is drawn.
        act: g, on images and on feature maps.
        action: how g is called, e.g. ``"90°"``.
        columns: a title for each of the |H| maps.
        channel: the channel that is drawn; the largest entry is that of all channels.
        in_disc: leave the difference out where a turn brings in what lay outside of the image.
    """
    acted = act(image)
    with torch.no_grad():
        features, of_acted = network(image), network(acted)
    difference = of_acted - act(features)
    if in_disc:
        difference *= inscribed_disc(difference)
    error = difference.abs().max().item()

    low, high = features[0, channel].min().item(), features[0, channel].max().item()
    of_features = {"cmap": "viridis", "vmin": low, "vmax": high}
    rounding = error < 1e-9 * (high - low)
    if rounding and low < 0 < high:
        of_difference = of_features
    else:
        limit = (high - low) / 2 if rounding else error
        of_difference = {"cmap": "PuOr", "vmin": -limit, "vmax": limit}
    rows = [
        ("input f", image, "N(f)", features, of_features),
        (f"input {action}·f", acted, f"N({action}·f)", of_acted, of_features),
        (None, None, "", difference, of_difference),
    ]
    size = f"{error:.0e}" if rounding else f"{error:.2g}"
    count = len(columns)
    width = max(1.7 * count + 2.2, 1.9 * count + 1.4)  # inches
    figure, axes = _subplots(3, count + 1, (width, 5.8))
    for row, (input_name, pixels, name, maps, colours) in zip(axes, rows, strict=True):
        row[0].axis("off")
        if pixels is not None:
            row[0].imshow(pixels.flatten(0, -3)[0], cmap="gray")
            row[0].set_title(input_name, fontsize=FONT_SIZE)
        else:
            text = f"N({action}·f) − {action}·N(f)\n\nlargest entry:\n{size}"
            row[0].text(0.5, 0.5, text, ha="center", va="center", fontsize=FONT_SIZE)
        row[1].set_ylabel(name, fontsize=FONT_SIZE)
        for axis, drawn in zip(row[1:], maps[0, channel], strict=True):
            _draw_map(axis, drawn, "", colours)
    for axis, title in zip(axes[0, 1:], columns, strict=True):
        axis.set_title(title, fontsize=FONT_SIZE)
    if of_difference is of_features:
        _add_bar(figure, axes[:, -1], "feature value")
    else:
        _add_bar(figure, axes[:2, -1], "feature value")
        _add_bar(figure, axes[2:, -1], "difference")
    return figure


def images(
    maps: Sequence[Tensor],
    titles: Sequence[str],
    label: str,
    *,
    cmap: str = "viridis",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A row of images on one scale of colours.

    Args:
        maps: images ``(H, W)``, of any sizes.
        titles: one for each.
        label: what the colour bar measures, with its unit.
        cmap: colours by matplotlib's name; ``"PuOr"`` for numbers of both signs.
        limits: the numbers at the ends of the scale; those of the maps where None.
    """
    low, high = limits or (
        min(image.min().item() for image in maps),
        max(image.max().item() for image in maps),
    )
    figure, axes = _subplots(1, len(maps), (2.1 * len(maps) + 0.9, 2.4))
    for axis, image, title in zip(axes[0], maps, titles, strict=True):
        _draw_map(axis, image, title, {"cmap": cmap, "vmin": low, "vmax": high})
    _add_bar(figure, axes[0], label)
    return figure


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    x_label: str,
    y_label: str,
    *,
    x_scale: str = "linear",
    y_scale: str = "log",
) -> Figure:
    """Curves over a common x; where there are several, the legend beside them.

    Args:
        x: where all of them were measured.
        lines: the curves by name, seven at most.
        x_label, y_label: what the axes measure, with units.
        x_scale, y_scale: ``"linear"`` or ``"log"``.
    """
    figure, axes = _subplots(1, 1, (8.4, 3.8))
    axis = axes[0, 0]
    styles = zip(lines.items(), COLOURS, LINES, strict=False)
    for (name, values), colour, line in styles:
        axis.plot(x, values, color=colour, linestyle=line, marker="o", label=name)
    axis.set(xscale=x_scale, yscale=y_scale)
    axis.set_xlabel(x_label, fontsize=FONT_SIZE)
    axis.set_ylabel(y_label, fontsize=FONT_SIZE)
    axis.tick_params(labelsize=FONT_SIZE)
    if x_scale == "log":
        axis.set_xticks(x, [f"{value:g}" for value in x])
        axis.minorticks_off()
    axis.grid(alpha=0.3)
    if len(lines) > 1:
        figure.legend(loc="outside right upper", fontsize=FONT_SIZE)
    return figure


def _subplots(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    figure, axes = plt.subplots(
        rows, columns, figsize=size, dpi=DPI, layout="constrained", squeeze=False
    )
    # A notebook shows the figure that a cell returns, and shows an open one once more.
    plt.close(figure)
    return figure, axes


def _draw_map(axis: Axes, image: Tensor, title: str, colours: dict[str, Any]) -> None:
    axis.imshow(image, **colours)
    axis.set_title(title, fontsize=FONT_SIZE)
    axis.set_xticks([])
    axis.set_yticks([])


def _add_bar(figure: Figure, axes: np.ndarray, label: str) -> None:
    """A bar of the colours of the last of the axes, to the right of them all."""
    bar = figure.colorbar(axes[-1].images[0], ax=axes, shrink=0.8)
    bar.set_label(label, fontsize=FONT_SIZE)
