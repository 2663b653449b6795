"""What one pixel looks at: the attention of p4sa over an image, and over the image turned.

The weights of all layers are composed, as in attention rollout (Abnar & Zuidema, 2020): every layer
keeps half of a pixel's weight and shares the other half as its attention says, averaged over heads
and group elements. A pooling shares its weight among its pixels.

Drawn are a digit of MNIST and, in grey, the flower of scikit-learn's sample image flower.jpg, under
a p4sa that was trained on rotMNIST.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from demo import style
from demo.networks import Normalize, mnist_digit, trained_network
from g_selfatt import datasets, models
from g_selfatt.nn import attention_maps

DATASET = "rotMNIST"
QUERIES = (2, 3), (1, 4)  # row and column in the last map, of the digit and of the flower
TITLE = "What a pixel looks at turns with the image"


def rollout(maps: list[Tensor], query: tuple[int, int]) -> Tensor:
    """The weight of every pixel of the image for one pixel of the last layer, ``(H, W)``.

    Args:
        maps: attention of successive local layers, ``(1, heads, |H|, H, W, k·k)``; between them the
            map may be cropped, or pooled 2×2.
        query: row and column in the last map.
    """
    weight = torch.zeros(maps[-1].shape[3:5], dtype=maps[-1].dtype)
    weight[query] = 1
    for attention in reversed(maps):
        if 2 * len(weight) <= attention.shape[3]:
            weight = weight.repeat_interleave(2, 0).repeat_interleave(2, 1) / 4
        border = (attention.shape[3] - len(weight)) // 2
        weight = F.pad(weight, 4 * (border,))
        shares = attention[0].sum(dim=1).mean(dim=0)  # over heads: (H, W, k·k)
        shares = shares / shares.sum(dim=-1, keepdim=True)
        sent = (weight[..., None] * shares).flatten(0, 1).T[None]  # (1, k·k, H·W)
        side = int(attention.shape[-1] ** 0.5)
        received = F.fold(sent, weight.shape, side, padding=side // 2)[0, 0]
        weight = (weight + received) / 2
    return weight


def flower() -> Tensor:
    """The flower of scikit-learn's flower.jpg, ``(1, 1, 28, 28)`` float64 in [0, 1], in grey."""
    image = torch.from_numpy(load_sample_image("flower.jpg").copy()).double() / 255
    grey = image.mean(dim=-1)[None, None, 20:420, 60:460]
    return F.interpolate(grey, (28, 28), mode="area")


def draw(folder: Path) -> Path:
    """Draw image and attention, upright and turned, for both images."""
    model = trained_network(models.find_pretrained("p4sa", DATASET)[0].path, "equivariant")
    network = nn.Sequential(Normalize(datasets.INFO[DATASET]), model)
    figure = style.card(TITLE, 2.75)
    for left, pixels, query in zip((0.03, 0.53), (mnist_digit(), flower()), QUERIES, strict=True):
        last = list(attention_maps(network, pixels).values())[-1].shape[3]
        turned = (last - 1 - query[1], query[0])
        axes = [figure.add_axes((left + x, 0.23, 0.2, 0.2 * 7.2 / 2.75)) for x in (0, 0.25)]
        weights = [
            _overlay(axis, network, image, q)
            for axis, image, q in zip(
                axes, (pixels, pixels.rot90(dims=(2, 3))), (query, turned), strict=True
            )
        ]
        style.arrow(axes[0], axes[1], (1, 0.5), (0, 0.5))
        style.write(figure, left + 0.225, 0.55, "90°")
        error = (weights[1] - weights[0].rot90()).abs().max() / weights[0].max()
        text = f"difference {error:.0e}"
        style.write(figure, left + 0.225, 0.12, text, size=15, color=style.BLUE)
    return style.save(figure, folder / "attention.png")


def _overlay(axis: Axes, network: nn.Module, pixels: Tensor, query: tuple[int, int]) -> Tensor:
    """Draw an image in grey and the weights on it; a ring marks the pixel that looks."""
    maps = list(attention_maps(network, pixels).values())
    weights = rollout(maps, query)
    style.show(axis, pixels[0, 0], cmap="gray")
    axis.imshow(weights, cmap="inferno", alpha=(weights / weights.max()).sqrt().clamp(max=0.85))
    place = len(weights) / 2 + (torch.tensor(query) - (maps[-1].shape[3] - 1) / 2) * 2 - 0.5
    axis.plot(place[1], place[0], "o", ms=11, mfc="none", mec=style.CARD, mew=2)
    return weights
