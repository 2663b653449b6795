"""Draw what equivariance means: turn the input, and the feature maps turn and change places.

    python -m demo.equivariance --out demo/equivariance.png

Shows a digit and the feature map of a trained p4sa after its lifting and first attention layer,
the same for the digit turned by 90°, and the difference between the second and the first turned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import nn

import models
from demo import pictures
from g_selfatt.testing import assert_equivariant

QUARTER_TURN = 1


def first_layers(model: models.GroupTransformer) -> nn.Module:
    """The lifting and the first attention layer of a network: ``(B, 1, H, W)`` → on the group."""
    block = next(layer for layer in model.transformer if hasattr(layer, "attention"))
    return nn.Sequential(
        model.lifting_self_attention,
        model.lifting_normalization,
        model.lifting_activation,
        *block.attention[:3],  # norm, activation, attention
    )


def main() -> None:
    """Draw the picture of a trained p4sa and a digit that it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo/equivariance.png"))
    out = parser.parse_args().out
    model = models.create_model("p4sa", "rotDigits", pretrained=True).double().eval()
    layers, image = first_layers(model), pictures.load_digit()
    assert_equivariant(layers, model.group, image)
    figure = pictures.group_equivariance(layers, model.group, image, QUARTER_TURN)
    figure.savefig(out, dpi=110)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
