"""What data sets that torchvision downloads and verifies have in common."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np

from g_selfatt.datasets.download import TIMEOUT
from g_selfatt.datasets.errors import DataError, one_line
from g_selfatt.datasets.registry import INFO
from g_selfatt.datasets.splits import Source, TensorSplit


def read_torchvision(
    vision: type, root: Path, download: bool, folder: Path, origin: str, place: Path
) -> Source:
    """Read the training and test images of a data set of torchvision.

    Args:
        vision: its class there, of the name that it has here.
        root: folder of all data sets.
        download: whether missing files may be downloaded.
        folder: where the files are.
        origin: where they come from, for the error.
        place: where to put them by hand, for the error.

    Raises:
        DataError: the files are missing or damaged.
    """
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
