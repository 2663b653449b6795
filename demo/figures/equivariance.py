"""The square of equivariance: turn the image, then the network; or the network, then turn.

Of z2sa the two ways end in different feature maps, of p4sa in the same one. Drawn is one channel of
the first attention layer after the lifting, as trained on rotMNIST, and of p4sa the group element
that turns into the one beside it. The printed number is of all channels and elements:
max|N(90°·f) − 90°·N(f)| / max|N(f)|, in float64. The drawn difference is magnified four times.

The digit is that of `demo.networks.mnist_digit`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from demo import style
from demo.networks import mnist_digit, shipped_layers

DATASET, LAYER = "rotMNIST", "attention 1"
QUARTER_TURN = 1
TITLE = "Turn the image: only p4sa's features turn with it"
NETWORKS = {"z2sa": "plain self-attention", "p4sa": "group self-attention"}


class Square(NamedTuple):
    """The corners: N(f), N(90°·f) and 90°·N(f), ``(H, W)``, and the relative error of the maps."""

    features: Tensor
    of_turned: Tensor
    turned: Tensor
    error: float


@torch.no_grad()
def measure(name: str, pixels: Tensor) -> Square:
    """The square of a shipped network.

    The channel is that in which the corners differ most, or, where none of them differ, that with
    the highest contrast.
    """
    network, group = shipped_layers(name, DATASET, LAYER)
    features, of_turned = network(pixels), network(pixels.rot90(dims=(2, 3)))
    plain = group.num_elements == 1
    if plain:  # only the plane turns
        turned, after = features.rot90(dims=(3, 4)), 0
    else:
        turned = group.act_on_signal(features, QUARTER_TURN)
        after = group.multiplication_table[:, QUARTER_TURN].tolist().index(0)
    difference = (of_turned - turned).abs()
    contrast = features.amax(dim=(0, 2, 3, 4)) / features.std(dim=(0, 2, 3, 4))
    if plain:
        contrast = difference.std(dim=(0, 2, 3, 4)) / features.std(dim=(0, 2, 3, 4))
    channel = int(contrast.argmax())
    return Square(
        features[0, channel, 0],
        of_turned[0, channel, after],
        turned[0, channel, after],
        (difference.max() / features.abs().max()).item(),
    )


def draw(folder: Path) -> Path:
    """Draw both squares beside each other."""
    pixels = mnist_digit()
    figure = style.card(TITLE, 4.9)
    for left, (name, kind) in zip((0.03, 0.525), NETWORKS.items(), strict=True):
        _draw_square(figure, left, f"{name}: {kind}", pixels, measure(name, pixels))
    return style.save(figure, folder / "equivariance.png")


def _draw_square(figure: Figure, left: float, title: str, pixels: Tensor, square: Square) -> None:
    same = square.error < 1e-9
    colour = style.BLUE if same else style.ORANGE
    side = 0.125
    tall = side * figure.get_figwidth() / figure.get_figheight()
    columns, rows = (left, left + 0.165, left + 0.325), (0.63, 0.365, 0.09)

    def put(column: float, row: int, image: Tensor, cmap: str, **limits: float) -> Axes:
        axis = figure.add_axes((column, rows[row], side, tall))
        style.show(axis, image, cmap=cmap, **limits)
        return axis

    digit, turned = (put(columns[0], i, pixels[0, 0].rot90(i), "gray") for i in range(2))
    features = put(columns[2], 0, square.features, "viridis")
    first = put(columns[1], 1, square.of_turned, "viridis")
    second = put(columns[2], 1, square.turned, "viridis")
    reach = (square.features.max() - square.features.min()).item() / 8
    difference = square.of_turned - square.turned
    put(left + 0.245, 2, difference, "PuOr", vmin=-reach, vmax=reach)
    style.write(figure, left + 0.22, 0.865, title, weight="bold", color=colour)
    style.arrow(digit, features, (1, 0.5), (0, 0.5))
    style.arrow(digit, turned, (0.5, 0), (0.5, 1))
    style.arrow(features, second, (0.5, 0), (0.5, 1))
    style.arrow(turned, first, (1, 0.5), (0, 0.5))
    style.write(figure, columns[1] + side / 2, rows[0] + tall * 0.62, "network")
    for column in (columns[0], columns[2]):
        style.write(figure, column + 0.09, rows[0] - 0.035, "90°")
    middle = columns[1] + 0.5 * (side + columns[2] - columns[1])
    style.write(figure, middle, rows[1] + tall / 2, "=" if same else "≠", size=18, color=colour)
    text = f"{square.error:.0e}" if same else f"{square.error:.0%}"
    where = {"color": colour, "size": 15, "ha": "right"}
    style.write(figure, left + 0.225, rows[2] + tall / 2, f"difference\n{text}", **where)
