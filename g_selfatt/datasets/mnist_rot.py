"""Rotated MNIST: from the archive of Larochelle et al. (ICML 2007) to one verified npz file.

Lies in ``<root>/MNIST_rot``: ``raw/mnist_rotation_new.zip`` and ``processed/rotmnist.npz``. Where
the archive is neither there nor to be had, the images are regenerated from MNIST.
"""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Turns
from g_selfatt.datasets.errors import DataError, one_line
from g_selfatt.datasets.registry import INFO, register

if TYPE_CHECKING:
    import numpy as np

    from g_selfatt.datasets.splits import Source

URL = "http://www.iro.umontreal.ca/~lisa/icml2007data/mnist_rotation_new.zip"
MD5 = "0f9a947ff3d30e95cd685462cbf3b847"
TRAIN_FILE = "mnist_all_rotation_normalized_float_train_valid.amat"
TEST_FILE = "mnist_all_rotation_normalized_float_test.amat"
SIDE = 28

logger = logging.getLogger(__name__)
LARGEST = (
    1 << 30
)  # bytes of an array: the test images are 39 MB, and a small file can claim anything
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError)
_UNREADABLE += (MemoryError, zipfile.BadZipFile, zlib.error)


@register(
    name="rotMNIST",
    provenance="rotated MNIST (mnist_rotation_new) of the University of Montreal",
    image_size=SIDE,
    in_channels=1,
    num_classes=10,
    mean=(0.1307,),
    std=(0.3081,),
    augmentation=(Turns(),),
    aliases=("MNIST_rot",),  # what the released command lines and folders call it
)
def MNIST_rot(
    root: str | Path = "data",
    *,
    download: bool = True,
    url: str = URL,
    md5: str = MD5,
    num_validation: int = 2_000,
) -> Source:
    """Read rotated MNIST, making its processed file first if there is none.

    A processed file that is already there is used as it is, whatever its origin.

    Args:
        root: folder of all data sets.
        download: whether a missing archive may be downloaded.
        url: where the archive is.
        md5: of the archive.
        num_validation: how many of the last rows of the training file are validation.

    Returns:
        From the official archive, 10,000 training, 2,000 validation and 50,000 test images.

    Raises:
        DataError: the archive or the processed file is missing or damaged.
    """
    from g_selfatt.datasets.download import obtain
    from g_selfatt.datasets.rotmnist_from_mnist import PROCESSED, save_processed

    root = Path(root)
    processed = root / PROCESSED
    if processed.exists():
        return _read(processed)
    archive = root / "MNIST_rot" / "raw" / url.rpartition("/")[2]
    try:
        obtain(url, archive, md5, download=download)
    except DataError as error:
        if archive.exists():  # damaged: for the user to replace
            raise
        _regenerate(processed, root, download, error)
        return _read(processed)
    logger.info("parsing %s, once", archive)
    arrays = _parse(archive, num_validation)
    save_processed(processed, f"{url} (md5 {md5}), transposed to stand upright", arrays)
    return _read(processed)


def _regenerate(processed: Path, root: Path, download: bool, unreachable: DataError) -> None:
    from g_selfatt.datasets.rotmnist_from_mnist import make

    logger.warning("%s; regenerating the images from MNIST, once", unreachable)
    try:
        make(processed, root, download=download)
    except DataError as error:
        raise DataError(f"{unreachable}; nor can it be regenerated from MNIST: {error}") from error


def _parse(archive: Path, num_validation: int) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(archive) as files:
            images, labels = _parse_amat(files, TRAIN_FILE)
            x_test, y_test = _parse_amat(files, TEST_FILE)
    except _UNREADABLE as error:
        raise DataError(
            f"{archive} cannot be read ({one_line(error)}): delete it, or replace it by {URL}"
        ) from error
    return {
        "x_train": images[:-num_validation],
        "y_train": labels[:-num_validation],
        "x_valid": images[-num_validation:],
        "y_valid": labels[-num_validation:],
        "x_test": x_test,
        "y_test": y_test,
    }


def _parse_amat(files: zipfile.ZipFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read rows of 784 numbers in [0, 1] and a label; return uint8 (N, 28, 28) and (N,)."""
    import numpy as np

    with files.open(name) as file:
        text = io.TextIOWrapper(file, encoding="ascii")
        # float32 halves the memory and still holds the multiples of 1/256 exactly.
        rows = np.loadtxt(text, dtype=np.float32, comments=None, ndmin=2)
    if rows.shape[1] != SIDE * SIDE + 1:
        raise ValueError(f"{name} has rows of {rows.shape[1]} numbers, expected {SIDE * SIDE + 1}")
    pixels, labels = rows[:, :-1], rows[:, -1]
    if not ((pixels >= 0).all() and (pixels <= 1).all()):
        raise ValueError(f"{name} has pixels outside 0 to 1")
    if not np.isin(labels, np.arange(10)).all():
        raise ValueError(f"{name} has labels other than 0 to 9")
    images = np.minimum(np.rint(256 * pixels), 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
    # The rows hold the pixels column by column: left as they are, every digit would be mirrored.
    # Upright ones look like MNIST rotated by anyone else, so that trained weights fit both.
    return images.transpose(0, 2, 1), labels.astype(np.uint8)


def _read(path: Path) -> Source:
    import numpy as np

    from g_selfatt.datasets.rotmnist_from_mnist import PROVENANCE, SHA256, digest
    from g_selfatt.datasets.splits import Source, TensorSplit

    info = INFO["rotMNIST"]
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            largest = max((member.file_size for member in file.zip.infolist()), default=0)
            if largest > LARGEST:
                raise ValueError(f"an array of {largest:,} bytes, expected at most {LARGEST:,}")
            arrays = {name: file[name] for name in file.files if name != "provenance"}
            splits = [
                TensorSplit.of_arrays(arrays[f"x_{split}"], arrays[f"y_{split}"], info, path)
                for split in ("train", "valid", "test")
            ]
            known = " ".join(file["provenance"].ravel()) if "provenance" in file.files else None
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}): delete it to have it made again"
        ) from error
    sha256 = digest(arrays)
    if sha256 == SHA256:
        known = PROVENANCE  # whoever made the file
    facts = {"provenance": known or f"processed file of unknown origin, sha256 {sha256}"}
    return Source(*splits, facts=facts)
