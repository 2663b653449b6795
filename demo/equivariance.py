"""Draw what equivariance means: turn the input, and the feature maps turn and change places.

    python -m demo.equivariance --out demo/equivariance.png

Shows a digit and the feature map of a trained p4sa after its lifting and first attention layer,
the same for the digit turned by 90°, and the difference between the second and the first turned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import datasets
import models
from g_selfatt.testing import assert_equivariant

QUARTER_TURN = 1
CHANNEL = 0


def first_layers(model: models.GroupTransformer) -> nn.Module:
    """The lifting and the first attention layer of a network: ``(B, 1, H, W)`` → on the group."""
    block = next(layer for layer in model.transformer if hasattr(layer, "attention"))
    return nn.Sequential(
        model.lifting_self_attention,
        model.lifting_normalization,
        model.lifting_activation,
        *block.attention[:3],  # norm, activation, attention
    )


def draw(layers: nn.Module, model: models.GroupTransformer, image: Tensor) -> Figure:
    """The picture: one row for f, one for 90°·f, one for the difference.

    Args:
        layers: maps ``(1, 1, H, W)`` to ``(1, C, 4, H, W)``.
        model: the network that they are of, on p4.
        image: ``(1, 1, H, W)`` float64.
    """
    group = model.group
    assert_equivariant(layers, group, image)
    turned = group.act_on_signal(image, QUARTER_TURN)
    with torch.no_grad():
        features, of_turned = layers(image), layers(turned)
    difference = of_turned - group.act_on_signal(features, QUARTER_TURN)
    error = difference.abs().max().item()

    figure, axes = plt.subplots(3, 5, figsize=(9, 5.8), layout="constrained")
    low, high = features[0, CHANNEL].min().item(), features[0, CHANNEL].max().item()
    rows = [
        ("input f", image, "N(f)", features),
        ("input 90°·f", turned, "N(90°·f)", of_turned),
        (None, None, "", difference),
    ]
    for row, (input_name, pixels, name, maps) in zip(axes, rows, strict=True):
        row[0].axis("off")
        if pixels is not None:
            row[0].imshow(pixels[0, 0], cmap="gray")
            row[0].set_title(input_name, fontsize=12)
        else:
            text = f"N(90°·f) − 90°·N(f)\n\nlargest entry:\n{error:.0e}"
            row[0].text(0.5, 0.5, text, ha="center", va="center", fontsize=12)
        for h, axis in enumerate(row[1:]):
            drawn = axis.imshow(maps[0, CHANNEL, h], cmap="viridis", vmin=low, vmax=high)
            axis.set_title(f"{name}  h = {90 * h}°".strip(), fontsize=12)
            axis.set_xticks([])
            axis.set_yticks([])
    bar = figure.colorbar(drawn, ax=axes[:, -1], shrink=0.8)
    bar.set_label("feature value", fontsize=12)
    return figure


def main() -> None:
    """Draw the picture of a trained p4sa and a digit that it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo/equivariance.png"))
    out = parser.parse_args().out
    model = models.create_model("p4sa", "rotDigits", pretrained=True).double().eval()
    splits = datasets.load("rotDigits")
    mean, std = splits.info.mean[0], splits.info.std[0]
    image = (splits.test.images[:1].double() / 255 - mean) / std
    draw(first_layers(model), model, image).savefig(out, dpi=110)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
