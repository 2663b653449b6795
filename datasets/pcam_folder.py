"""PCam as folders of images: 327,680 of them, read from the disk while training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.errors import DataError, one_line, require
from datasets.info import INFO
from datasets.splits import Source

SPLITS = ("train", "valid", "test")
CLASSES = ("no_tumor", "tumor")  # label 0 and label 1
HOME = "https://github.com/basveeling/pcam"


@dataclass(frozen=True, eq=False)
class FolderSplit:
    """A map-style data set: item i is (image uint8 (C, H, W), label), read when asked for."""

    samples: Sequence[tuple[str, int]]
    read: Callable[[str], object]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Read one image.

        Raises:
            DataError: the file is no image, or not one of PCam's size.
        """
        path, label = self.samples[index]
        try:
            image = np.array(self.read(path))  # (H, W, 3)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{path} cannot be read ({one_line(error)}): replace it") from error
        size = INFO["PCam"].image_size
        if image.shape != (size, size, 3):
            raise DataError(
                f"{path} has shape {image.shape}, expected {(size, size, 3)}: replace it"
            )
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), label

    def head(self, count: int | None) -> FolderSplit:
        """Return the first ``count`` images; all of them for None."""
        return FolderSplit(self.samples[:count], self.read)


def check_classes(folder: Path, root: Path) -> None:
    """Raise a DataError unless ``folder`` holds exactly the two classes."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing: get the h5 files from {HOME} into a folder DIR and run "
            f"`python -m datasets.pcam --source DIR --root {root}`"
        )
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if found != list(CLASSES):
        raise DataError(
            f"{folder} has the class folders {', '.join(found) or '(none)'}, "
            f"expected exactly {' and '.join(CLASSES)}"
        )


def pcam(root: Path, *, download: bool = True) -> Source:
    """Find the images of ``<root>/PCam/{train,valid,test}/{no_tumor,tumor}``; never downloads.

    Raises:
        DataError: a folder is missing, empty or of other classes, or torchvision is missing.
    """
    image_folder = require("torchvision.datasets", "PCam").ImageFolder
    splits = []
    for split in SPLITS:
        folder = root / "PCam" / split
        check_classes(folder, root)
        try:
            images = image_folder(folder)
        except FileNotFoundError as error:
            raise DataError(f"{folder} holds a class without images ({one_line(error)})") from error
        # By file name, not by class: the first so-many are then of both classes.
        samples = sorted(
            images.samples, key=lambda sample: (os.path.basename(sample[0]), sample[1])
        )
        splits.append(FolderSplit(samples, images.loader))
    return Source(*splits)
