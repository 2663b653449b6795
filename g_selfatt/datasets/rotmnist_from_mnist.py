"""rotMNIST regenerated from MNIST, for when the original archive cannot be reached.

    python -m g_selfatt.datasets.rotmnist_from_mnist --root data

The same task, size and split as the archive, with other pixels: 62,000 images of MNIST, each turned
by an angle of its own, bilinear. The result is the same to the pixel everywhere, and its digest is
checked. Figures are comparable with each other, and not to the digit with those of the archive.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.files import replacing
from g_selfatt.datasets.mnist import mnist

PROCESSED = Path("MNIST_rot", "processed", "rotmnist.npz")
SIZES = {"train": 10_000, "valid": 2_000, "test": 50_000}
PROVENANCE = (
    "rotMNIST regenerated from MNIST (uniform angles, bilinear), not the original archive's pixels"
)
SHA256 = "c7143ac547f2116b829a7d325f832e5a000e365bd5fd724520b5603bbe2c5a6e"


def chosen(of: int) -> np.ndarray:
    """Which of MNIST's images are in the three splits, in their order: 62,000 numbers."""
    return np.random.default_rng(2007).permutation(of)[: sum(SIZES.values())]


def regenerate(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Choose images of MNIST and turn them.

    Args:
        images: uint8 (70000, 28, 28), the training images and then the test images.
        labels: integers (70000,).

    Returns:
        uint8 arrays x_train, y_train, x_valid, y_valid, x_test and y_test.
    """
    ndimage = require("scipy.ndimage", "turning images")
    numbers = chosen(len(images))
    angles = np.random.default_rng(0).uniform(0, 360, len(numbers))
    turned = np.empty((len(numbers), *images.shape[1:]), np.uint8)
    for number, (index, angle) in enumerate(zip(numbers, angles, strict=True)):
        image = ndimage.rotate(images[index].astype(np.float32), angle, reshape=False, order=1)
        turned[number] = np.clip(np.rint(image), 0, 255)
    arrays, start = {}, 0
    for split, size in SIZES.items():
        part = slice(start, start + size)
        arrays[f"x_{split}"] = turned[part]
        arrays[f"y_{split}"] = labels[numbers[part]].astype(np.uint8)
        start += size
    return arrays


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the images and labels of the splits, in the order of `SIZES`."""
    sha256 = hashlib.sha256()
    for split in SIZES:
        for kind in "xy":
            sha256.update(np.ascontiguousarray(arrays[f"{kind}_{split}"]).tobytes())
    return sha256.hexdigest()


def whole_mnist(root: Path, *, download: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The 70,000 images and labels of MNIST, those for training first, as `regenerate` takes them.

    Raises:
        DataError: MNIST cannot be had.
    """
    source = mnist(root, download=download)
    images = np.concatenate([split.images[:, 0].numpy() for split in (source.train, source.test)])
    labels = np.concatenate([split.labels.numpy() for split in (source.train, source.test)])
    return images, labels


def verified(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of `regenerate` as they are.

    Raises:
        DataError: NumPy or SciPy turned the images into other pixels, or MNIST is altered.
    """
    if digest(arrays) != SHA256:
        raise DataError(
            f"the images regenerated from MNIST have sha256 {digest(arrays)}, expected {SHA256}: "
            "MNIST is altered, or this version of NumPy or SciPy turns images otherwise"
        )
    return arrays


def make(processed: Path, root: Path, *, download: bool = True) -> None:
    """Write the regenerated images as rotMNIST's processed file.

    Args:
        processed: the npz file to write.
        root: folder of all data sets, where MNIST is or is downloaded to.
        download: whether a missing MNIST may be downloaded.

    Raises:
        DataError: MNIST cannot be had, or it was turned into other pixels.
    """
    arrays = verified(regenerate(*whole_mnist(root, download=download)))
    save_processed(processed, PROVENANCE, arrays)


def save_processed(path: Path, provenance: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write rotMNIST's processed file, whole or not at all.

    Args:
        path: the npz file.
        provenance: where the pixels come from.
        arrays: as from `regenerate`.

    Raises:
        DataError: the disk cannot be written.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, provenance=np.array(provenance), **arrays)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({one_line(error)})") from error


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m g_selfatt.datasets.rotmnist_from_mnist",
        description="regenerate rotMNIST from MNIST",
    )
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of all data sets")
    root = parser.parse_args().root
    path = root / PROCESSED
    if path.exists():
        print(f"{path} is already there; delete it to have it made again")
        return 0
    try:
        make(path, root)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{path}: {PROVENANCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
