"""Draw what equivariance means: turn the input, and the feature maps turn and change places.

    python -m demo.equivariance --out demo/equivariance.png

Shows a digit and the feature map of a trained p4sa after its lifting and first attention layer,
the same for the digit turned by 90°, and the difference between the second and the first turned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import models
from demo import pictures
from demo.networks import name_layers
from g_selfatt import groups
from g_selfatt.testing import UpTo, assert_equivariant

QUARTER_TURN = 1


def main() -> None:
    """Draw the picture of a trained p4sa and a digit that it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo/equivariance.png"))
    out = parser.parse_args().out
    model = models.create_model("p4sa", "rotDigits", pretrained=True).double().eval()
    layers, image = UpTo(model, name_layers(model)["attention 1"]), pictures.load_digit()
    group = groups.get("p4")
    assert_equivariant(layers, group, image)
    figure = pictures.group_equivariance(layers, group, image, QUARTER_TURN)
    figure.savefig(out, dpi=110)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
