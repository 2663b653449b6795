"""Builds PCam's folders of images from the official h5 files.

    python -m g_selfatt.datasets.pcam --source DIR --root data

DIR holds ``camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5``. A split is built beside its
place and moved there when it is whole; one that is already there is left as it is.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.pcam_folder import CLASSES, HOME, SPLITS, check_classes
from g_selfatt.datasets.registry import INFO

# Images read from the h5 file at a time: 14 MB.
BLOCK = 512


def convert(source: Path, root: Path) -> None:
    """Build the splits that ``<root>/PCam`` lacks; all h5 files are checked before the first image.

    Args:
        source: folder of the six h5 files.
        root: folder of all data sets.

    Raises:
        DataError: an h5 file is missing or damaged, a split that is there has other classes, a
            package is missing, or the disk cannot be written. What was half built is removed.
    """
    folders = [root / "PCam" / split for split in SPLITS]
    for folder in folders:
        if folder.exists():
            check_classes(folder, root)
            print(f"{folder} is already there")
    with ExitStack() as files:
        todo = [
            (folder, _open(source, folder.name, files)) for folder in folders if not folder.exists()
        ]
        for folder, (images, labels) in todo:
            _build(folder, images, labels)


def _open(source: Path, split: str, files: ExitStack):
    """Return the images as an open h5 data set (N, 96, 96, 3) and the labels as an array (N,)."""
    images, labels = (
        _read(source / f"camelyonpatch_level_2_split_{split}_{key}.h5", key, files) for key in "xy"
    )
    shape = (len(labels), *[INFO["PCam"].image_size] * 2, 3)
    if images.dtype != np.uint8 or images.shape != shape or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"{source}: the {split} files hold images {images.dtype} {images.shape} and labels "
            f"{np.unique(labels)[:4]}, expected uint8 {shape} and [0 1]: get them again from {HOME}"
        )
    return images, labels.astype(np.int64)


def _read(path: Path, key: str, files: ExitStack):
    if not path.exists():
        packed = Path(f"{path}.gz")
        advice = f"unpack it with `gunzip {packed}`" if packed.exists() else f"get it from {HOME}"
        raise DataError(f"{path} is missing: {advice}")
    h5py = require("h5py", "the PCam converter")
    try:
        data = files.enter_context(h5py.File(path, "r"))[key]
        if not (isinstance(data, h5py.Dataset) and data.shape and len(data)):
            raise ValueError(f"{key} is not an array of one row or more")
        return data if key == "x" else data[:].reshape(-1)  # the images are read block by block
    except (OSError, KeyError, ValueError, MemoryError) as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}): get it again from {HOME}"
        ) from error


def _build(folder: Path, images, labels: np.ndarray) -> None:
    Image = require("PIL.Image", "the PCam converter")
    tqdm = require("tqdm", "the PCam converter").tqdm
    # The name starts with a dot and is no split's: a run that was killed leaves nothing that
    # looks whole, and the next one removes it.
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in CLASSES:
            (partial / name).mkdir(parents=True)
        with tqdm(total=len(labels), desc=folder.name, unit="image", disable=None) as bar:
            for start in range(0, len(labels), BLOCK):
                for index, image in enumerate(images[start : start + BLOCK], start):
                    # The number is the image's place in the h5 file.
                    file = partial / CLASSES[labels[index]] / f"{index:06d}.png"
                    Image.fromarray(image).save(file)
                    bar.update()
        partial.rename(folder)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be built ({one_line(error)}): if it is the h5 file that is damaged, "
            f"get it again from {HOME}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code, 2 if a file is missing or damaged."""
    parser = argparse.ArgumentParser(
        prog="python -m g_selfatt.datasets.pcam",
        description="Build PCam's image folders from its h5 files.",
    )
    parser.add_argument("--source", type=Path, required=True, help="folder of the six h5 files")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of all data sets")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.root)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"PCam is ready in {options.root / 'PCam'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
