"""CIFAR-10 as folders of images, as fast.ai and Kaggle distribute it.

Lies in ``<root>/CIFAR10/{train,test}/<class>/``. The images are decoded once, into
``<root>/CIFAR10/images.npz``, which is made again where names or sizes of the files change; where
that cannot be written, they are decoded every time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.files import replacing
from g_selfatt.datasets.image_files import Files, list_images, read_colour
from g_selfatt.datasets.registry import INFO
from g_selfatt.datasets.splits import FolderSplit, Source, TensorSplit

CACHE = "images.npz"
SEED = 0  # of the order of the training images, the last of which are validation

logger = logging.getLogger(__name__)


def read_folders(home: Path) -> Source:
    """Read CIFAR-10 from folders of images.

    Args:
        home: the folder of ``train`` and ``test``.

    Returns:
        The splits, every training class spread evenly, and a provenance that names the format.

    Raises:
        DataError: a class is missing or empty, or a file is no colour image of 32×32 pixels.
    """
    require("PIL.Image", "CIFAR10")
    info = INFO["CIFAR10"]
    files = {part: _files(home / part, info.classes) for part in ("train", "test")}
    state = _state(home, files)
    arrays = _cached(home / CACHE, state)
    if arrays is None:
        logger.info("decoding the images of %s, once", home)
        arrays = {}
        for part, listed in files.items():
            shape = (info.image_size, info.image_size, info.in_channels)
            split = FolderSplit(listed, read_colour, shape).decoded()
            arrays[f"x_{part}"] = split.images.numpy()
            arrays[f"y_{part}"] = split.labels.numpy().astype(np.uint8)
        _keep(home / CACHE, state, arrays)
    train, test = (
        TensorSplit.of_arrays(arrays[f"x_{part}"], arrays[f"y_{part}"], info, home / CACHE)
        for part in ("train", "test")
    )
    return Source(train, None, test, {"provenance": f"CIFAR-10, folders of {_format(files)} files"})


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    """The images of a split; those of every class are spread evenly."""
    for name in classes:
        if not (folder / name).is_dir():
            raise DataError(
                f"{folder / name} is missing: expected a folder for each of {', '.join(classes)}"
            )
    listed = list_images(folder, classes)
    order = np.random.RandomState(SEED).permutation(len(listed))
    return [listed[index] for index in order]


def _state(home: Path, files: dict[str, Files]) -> str:
    """A digest of the names and sizes of all files."""
    digest = hashlib.sha256()
    for path, _ in (one for listed in files.values() for one in listed):
        digest.update(f"{os.path.relpath(path, home)} {os.path.getsize(path)}\n".encode())
    return digest.hexdigest()


def _cached(path: Path, state: str) -> dict[str, np.ndarray] | None:
    """The arrays of the cache; None where there is none of exactly these files."""
    try:
        with np.load(path) as file:
            return dict(file) if str(file["state"]) == state else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(path: Path, state: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the cache where that is possible."""
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, state=np.array(state), **arrays)
    except OSError as error:
        logger.warning(
            "%s cannot be written (%s): the images are decoded every time", path, one_line(error)
        )


def _format(files: dict[str, Files]) -> str:
    suffixes = {
        os.path.splitext(path)[1].lower() for listed in files.values() for path, _ in listed
    }
    names = {"JPEG" if suffix in (".jpg", ".jpeg") else suffix[1:].upper() for suffix in suffixes}
    return " and ".join(sorted(names))
