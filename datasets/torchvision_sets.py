"""CIFAR-10 and MNIST, downloaded, verified and read by torchvision."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np

from datasets.download import TIMEOUT
from datasets.errors import DataError, one_line, require
from datasets.info import INFO
from datasets.splits import Source, TensorSplit


def cifar10(root: Path, *, download: bool = True) -> Source:
    """Read CIFAR-10 from ``<root>/cifar-10-batches-py``: 50,000 training and 10,000 test images.

    Raises:
        DataError: the files are missing or damaged, or torchvision is.
    """
    vision = require("torchvision.datasets", "CIFAR10").CIFAR10
    return _read(
        vision, root, download, root / vision.base_folder, vision.url, root / vision.filename
    )


def mnist(root: Path, *, download: bool = True) -> Source:
    """Read MNIST from ``<root>/MNIST/raw``: 60,000 training and 10,000 test images.

    Raises:
        DataError: the files are missing or damaged, or torchvision is.
    """
    vision = require("torchvision.datasets", "MNIST").MNIST
    folder = root / "MNIST" / "raw"
    names = ", ".join(name for name, _ in vision.resources)
    return _read(vision, root, download, folder, f"{names} from {vision.mirrors[0]}", folder)


def _read(
    vision: type, root: Path, download: bool, folder: Path, origin: str, place: Path
) -> Source:
    info = INFO[vision.__name__]
    patience = socket.getdefaulttimeout()
    # torchvision sets no timeout of its own, and would wait for ever for a silent server.
    socket.setdefaulttimeout(TIMEOUT)
    try:
        sets = [vision(root, train=train, download=download) for train in (True, False)]
    except Exception as error:  # of a dozen types, depending on what is damaged where
        raise DataError(
            f"{info.name} cannot be read from {folder} ({one_line(error)}): delete that folder if "
            f"it is damaged; to fetch the data by hand, put {origin} at {place}"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    train, test = (
        TensorSplit.of_arrays(_channels_first(one.data), np.asarray(one.targets), info, folder)
        for one in sets
    )
    return Source(train, None, test)


def _channels_first(images) -> np.ndarray:
    """Return (N, C, H, W) from torchvision's (N, H, W, C), and (N, H, W) as it is."""
    images = np.asarray(images)
    return images.transpose(0, 3, 1, 2) if images.ndim == 4 else images
