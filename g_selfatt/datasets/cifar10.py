"""CIFAR-10, downloaded, verified and read by torchvision, or from folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Mirrors, Shifts
from g_selfatt.datasets.errors import require
from g_selfatt.datasets.record import Protocol
from g_selfatt.datasets.registry import register

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source


@register(
    name="CIFAR10",
    provenance="CIFAR-10, as torchvision distributes it",
    image_size=32,
    in_channels=3,
    num_classes=10,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    classes=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    augmentation=(Mirrors(), Shifts(4)),
    held_out=5_000,
    protocol=Protocol("SGD", 0.01, "linear_warmup_cosine", batch_size=24, epochs=350),
)
def cifar10(root: Path, *, download: bool = True) -> Source:
    """Read CIFAR-10: 50,000 training and 10,000 test images.

    They are in ``<root>/cifar-10-batches-py``, which is downloaded, or in
    ``<root>/CIFAR10/{train,test}/<class>/``.

    Raises:
        DataError: the files are missing or damaged, or torchvision is.
    """
    if (root / "CIFAR10").is_dir() and not (root / "cifar-10-batches-py").is_dir():
        from g_selfatt.datasets.cifar10_folder import read_folders

        return read_folders(root / "CIFAR10")
    from g_selfatt.datasets.torchvision_sets import read_torchvision

    vision = require("torchvision.datasets", "CIFAR10").CIFAR10
    return read_torchvision(
        vision, root, download, root / vision.base_folder, vision.url, root / vision.filename
    )
