"""Turn an image through 360° and watch what networks say that it is.

    python -m demo.stability --out demo/stability.png
    python -m demo.stability --dataset rotDigits --models p4sa z2sa
    python -m demo.stability --image mine.png --label 4

Draws one panel for each network, all trained on the same data: the probability of the true class
and of its strongest competitors against the angle. The weights are those in saved/.

Every angle is interpolated from the upright image at once, bilinearly, as the images of rotMNIST
were; multiples of 90° permute the pixels, and there p4sa answers the same to rounding. Those of
rotDigits were made with splines, so that its networks have not seen the blur of this.

The digit of rotMNIST is demo/digit.png, a test image of MNIST (Y. LeCun, C. Cortes and
C. J. C. Burges) under the licence CC BY-SA 3.0. It was chosen because z2sa wavers on it; of most
digits every network is sure at every angle. How often they are right over a whole test set is in
RESULTS.md. An image of your own is white on black.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

import datasets
import models
from demo.networks import Normalize, rot_digit
from g_selfatt.functional import transform_plane
from g_selfatt.groups import SE2

DIGIT, LABEL = Path(__file__).with_name("digit.png"), 2
NUM_ANGLES = 72  # every 5°
NUM_COMPETITORS = 3
NUM_THUMBNAILS = 8
# Okabe and Ito's colours, which colour-blind readers tell apart, each with a line of its own.
STYLES = (("#0072B2", "-"), ("#D55E00", "--"), ("#E69F00", "-."), ("#CC79A7", ":"))
GREY = "#D8D8D8"
SIZE = 15  # of all text, to be read at half the width


class Stability(NamedTuple):
    """What a network says of one image at every angle.

    Attributes:
        probabilities: ``(angles, classes)``.
        label: the true class.
    """

    probabilities: Tensor
    label: int

    @property
    def of_truth(self) -> Tensor:
        """The probability of the true class at every angle, ``(angles,)``."""
        return self.probabilities[:, self.label]

    @property
    def right(self) -> Tensor:
        """Whether the most probable class is the true one, ``(angles,)``."""
        return self.probabilities.argmax(dim=1) == self.label

    def summary(self) -> str:
        """How often it is right, and mean and standard deviation of the true probability."""
        return (
            f"right at {self.right.sum()} of {len(self.right)} angles, "
            f"p = {self.of_truth.mean():.2f} ± {self.of_truth.std(correction=0):.2f}"
        )


def turn(pixels: Tensor, num_angles: int = NUM_ANGLES) -> Tensor:
    """An image ``(1, C, H, W)`` turned by 360°·k/num_angles for every k: ``(num_angles, C, H, W)``.

    Counter-clockwise, each from the upright image, with black where nothing comes in.
    """
    return torch.cat([transform_plane(pixels, matrix) for matrix in SE2(num_angles).matrices])


@torch.no_grad()
def measure(network: nn.Module, images: Tensor, label: int) -> Stability:
    """The probabilities that a network gives to images ``(angles, C, H, W)``."""
    return Stability(network.eval()(images).softmax(dim=1), label)


def load_network(name: str, info: datasets.DatasetInfo) -> nn.Module:
    """The network of saved/ by its name, float64, from pixels in [0, 1] to logits.

    Raises:
        ValueError, FileNotFoundError: as `models.create_model`.
    """
    return nn.Sequential(
        Normalize(info), models.create_model(name, info.name, pretrained=True).double()
    )


def read_image(path: Path, info: datasets.DatasetInfo) -> Tensor:
    """A square picture as ``(1, 1, H, W)`` float64 in [0, 1], of the size of a data set.

    Raises:
        ValueError: it is no picture, or not square.
    """
    try:
        picture = Image.open(path).convert("L")
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} is not a picture that can be read") from error
    if picture.width != picture.height:
        raise ValueError(f"{path} has {picture.width}×{picture.height} pixels: it must be square")
    size = (info.image_size, info.image_size)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture))[None, None].double() / 255


def draw(stabilities: dict[str, Stability], images: Tensor, dataset: str) -> Figure:
    """The picture: the turned image on top, one panel for each network beneath.

    Args:
        stabilities: by the name of the network, all of one label.
        images: ``(angles, 1, H, W)``, the angles evenly over 360°.
        dataset: what the networks were trained on.
    """
    figure = Figure(figsize=(12, 2.4 + 2.5 * len(stabilities)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"one image, turned; networks trained on {dataset}", fontsize=SIZE)
    top, *panels = figure.subplots(
        len(stabilities) + 1, 1, sharex=True, height_ratios=[1, *[2] * len(stabilities)]
    )
    _draw_images(top, images)
    classes = _classes_to_draw(list(stabilities.values()))
    for panel, (name, stability) in zip(panels, stabilities.items(), strict=True):
        _draw_probabilities(panel, stability, classes)
        panel.set_title(f"{name}: {stability.summary()}", fontsize=SIZE)
    panels[-1].set_xlabel("angle of the image", fontsize=SIZE)
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, fontsize=SIZE, frameon=False
    )
    figure.supylabel("probability", fontsize=SIZE)
    return figure


def _classes_to_draw(stabilities: list[Stability]) -> list[int]:
    """The true class, then those that come closest to being answered, in whichever network."""
    highest = torch.cat([stability.probabilities for stability in stabilities]).amax(dim=0)
    label = stabilities[0].label
    ranked = [c for c in highest.argsort(descending=True).tolist() if c != label]
    return [label, *ranked[:NUM_COMPETITORS]]


def _draw_images(axis: Axes, images: Tensor) -> None:
    width = 0.8 * 360 / NUM_THUMBNAILS
    for k in range(NUM_THUMBNAILS):
        angle = 360 * k / NUM_THUMBNAILS
        inset = axis.inset_axes((angle - width / 2, 0, width, 1), transform=axis.transData)
        image = images[len(images) * k // NUM_THUMBNAILS, 0].numpy()
        inset.imshow(image, cmap="gray", vmin=0, vmax=1)
        inset.axis("off")
    axis.axis("off")


def _draw_probabilities(axis: Axes, stability: Stability, classes: list[int]) -> None:
    """One line for each class; the angles where the answer is wrong are shaded."""
    step = 360 / len(stability.probabilities)
    angles = [step * k for k in range(len(stability.probabilities) + 1)]
    for c, (colour, line) in zip(classes, STYLES, strict=True):
        label = f"{c}, the true class" if c == stability.label else str(c)
        values = stability.probabilities[:, c]
        closed = torch.cat([values, values[:1]])  # 360° is 0°
        width = 3 if c == stability.label else 2
        axis.plot(angles, closed.numpy(), color=colour, linestyle=line, lw=width, label=label)
    for k in (~stability.right).nonzero().flatten().tolist():
        axis.axvspan(step * (k - 0.5), step * (k + 0.5), color=GREY, lw=0)
    axis.axvspan(-100, -99, color=GREY, lw=0, label="wrong answer")  # out of sight, for the legend
    axis.set_xlim(-25, 365)
    axis.set_xticks(range(0, 361, 45), [f"{angle}°" for angle in range(0, 361, 45)])
    axis.set_ylim(-0.03, 1.03)
    axis.tick_params(labelsize=SIZE)
    axis.grid(alpha=0.3)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, with the ``networks``, the ``pixels`` and the ``label``.

    Exits with 2 for a mistake.
    """
    parser = argparse.ArgumentParser(
        prog="python -m demo.stability",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", default="rotMNIST", help="trained on (%(default)s)")
    parser.add_argument(
        "--models",
        nargs="+",
        default=["p4sa", "z2sa", "z2cnn"],
        metavar="MODEL",
        help="one panel each (p4sa z2sa z2cnn)",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="a square picture of your own")
    parser.add_argument("--label", type=int, metavar="N", help="what it shows")
    parser.add_argument(
        "--out", type=Path, default="demo/stability.png", help="a picture (%(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        options.info = datasets.INFO[datasets.canonical_name(options.dataset)]
        options.pixels, options.label = _choose_image(options)
        options.networks = {name: load_network(name, options.info) for name in options.models}
        if not options.out.parent.is_dir():
            raise ValueError(f"cannot write {options.out}: there is no such folder")
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    options = parse(arguments)
    images = turn(options.pixels)
    stabilities = {
        name: measure(network, images, options.label) for name, network in options.networks.items()
    }
    for name, stability in stabilities.items():
        print(f"{name}: {stability.summary()}")
    draw(stabilities, images, options.info.name).savefig(options.out)
    print(f"drew {options.out}")
    return 0


def _choose_image(options: argparse.Namespace) -> tuple[Tensor, int]:
    """The pixels and the label that the options mean; ValueError where they do not fit."""
    info = options.info
    if info.in_channels != 1:
        raise ValueError(f"--dataset: digits are grey, the images of {info.name} are in colour")
    if (options.image is None) != (options.label is None):
        raise ValueError("--image and --label go together: a picture, and what it shows")
    if options.image is not None:
        if not 0 <= options.label < info.num_classes:
            raise ValueError(f"--label: got {options.label}, expected 0 to {info.num_classes - 1}")
        return read_image(options.image, info), options.label
    if info.name == "rotDigits":
        return rot_digit()
    return read_image(DIGIT, info), LABEL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
