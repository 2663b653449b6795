"""MNIST, downloaded, verified and read by torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Shifts
from g_selfatt.datasets.errors import require
from g_selfatt.datasets.registry import register

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source


@register(
    name="MNIST",
    provenance="MNIST, as torchvision distributes it",
    image_size=28,
    in_channels=1,
    num_classes=10,
    mean=(0.1307,),
    std=(0.3081,),
    augmentation=(Shifts(2),),
    held_out=10_000,
)
def mnist(root: Path, *, download: bool = True) -> Source:
    """Read MNIST from ``<root>/MNIST/raw``: 60,000 training and 10,000 test images.

    Raises:
        DataError: the files are missing or damaged, or torchvision is.
    """
    from g_selfatt.datasets.torchvision_sets import read_torchvision

    vision = require("torchvision.datasets", "MNIST").MNIST
    folder = root / "MNIST" / "raw"
    names = ", ".join(name for name, _ in vision.resources)
    return read_torchvision(
        vision, root, download, folder, f"{names} from {vision.mirrors[0]}", folder
    )
