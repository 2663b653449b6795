"""PCam as folders of images: 327,680 of them, read from the disk while training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Mirrors, QuarterTurns
from g_selfatt.datasets.errors import DataError, require
from g_selfatt.datasets.record import Protocol
from g_selfatt.datasets.registry import INFO, register

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source

SPLITS = ("train", "valid", "test")
CLASSES = ("no_tumor", "tumor")  # label 0 and label 1
HOME = "https://github.com/basveeling/pcam"


def check_classes(folder: Path, root: Path) -> None:
    """Raise a DataError unless ``folder`` holds exactly the two classes."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing: get the h5 files from {HOME} into a folder DIR and run "
            f"`python -m g_selfatt.datasets.pcam --source DIR --root {root}`"
        )
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if found != list(CLASSES):
        raise DataError(
            f"{folder} has the class folders {', '.join(found) or '(none)'}, "
            f"expected exactly {' and '.join(CLASSES)}"
        )


@register(
    name="PCam",
    provenance="PatchCamelyon, the images found in its folders",
    image_size=96,
    in_channels=3,
    num_classes=2,
    mean=(0.701, 0.538, 0.692),
    std=(0.235, 0.277, 0.213),
    classes=CLASSES,
    augmentation=(QuarterTurns(), Mirrors()),
    protocol=Protocol("SGD", 0.01, "linear_warmup_cosine", batch_size=16, epochs=100),
)
def pcam(root: Path, *, download: bool = True) -> Source:
    """Find the images of ``<root>/PCam/{train,valid,test}/{no_tumor,tumor}``; never downloads.

    Raises:
        DataError: a folder is missing, empty or of other classes, or Pillow is missing.
    """
    from g_selfatt.datasets.image_files import list_images, read_colour
    from g_selfatt.datasets.splits import FolderSplit, Source

    require("PIL.Image", "PCam")
    info = INFO["PCam"]
    shape = (info.image_size, info.image_size, info.in_channels)
    splits = []
    for split in SPLITS:
        folder = root / "PCam" / split
        check_classes(folder, root)
        # By file name, not by class: a limited number is then of both classes.
        samples = sorted(
            list_images(folder, CLASSES),
            key=lambda sample: (os.path.basename(sample[0]), sample[1]),
        )
        splits.append(FolderSplit(samples, read_colour, shape))
    return Source(*splits)
