"""What a split is, and the ways of cutting one in two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.record import DatasetInfo

# Seconds before each further try to read a file: a disk behind a network fails for moments.
WAITS = (0.1, 0.5)


class Split(Protocol):
    """Images and their labels, in a fixed order."""

    @property
    def labels(self) -> Tensor:
        """The labels int64 (N,)."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image uint8 (C, H, W) and its label."""

    def head(self, count: int | None) -> Split:
        """Return the first ``count`` images; all of them for None."""


@dataclass(frozen=True, eq=False)
class TensorSplit:
    """A split that fits in memory: images uint8 (N, C, H, W), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of_arrays(
        cls, images: np.ndarray, labels: np.ndarray, info: DatasetInfo, file: Path
    ) -> TensorSplit:
        """Wrap arrays read from ``file`` after comparing them with what ``info`` promises.

        Args:
            images: uint8 (N, C, H, W), or (N, H, W) for one channel.
            labels: integers (N,) from 0 to ``info.num_classes`` − 1.
            info: the data set's shapes and number of classes.
            file: where the arrays come from, named in the error.

        Raises:
            DataError: the arrays do not have these types, shapes or values.
        """
        if images.ndim == 3:
            images = images[:, None]
        if problem := arrays_problem(images, labels, info):
            raise DataError(f"{file}: {problem}; delete it to have it made again")
        images = torch.from_numpy(np.ascontiguousarray(images))
        return cls(images, torch.from_numpy(labels.astype(np.int64)))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image uint8 (C, H, W) and its label."""
        return self.images[index], int(self.labels[index])

    def head(self, count: int | None) -> TensorSplit:
        """Return the first ``count`` images; all of them for None."""
        return TensorSplit(self.images[:count], self.labels[:count])

    def hold_out(self, count: int) -> tuple[TensorSplit, TensorSplit]:
        """Return all but the last ``count`` images, and those.

        Raises:
            DataError: nothing would be left to train on.
        """
        rest = len(self) - count
        if rest < 1:
            raise DataError(
                f"{len(self)} training images cannot spare {count} for validation: "
                "the data are incomplete; delete them to have them fetched again"
            )
        return self.head(rest), TensorSplit(self.images[rest:], self.labels[rest:])


def arrays_problem(images: np.ndarray, labels: np.ndarray, info: DatasetInfo) -> str:
    """What keeps arrays from being a split of a data set; empty where nothing does.

    Args:
        images: to be uint8 (N, C, H, W).
        labels: to be integers (N,) from 0 to ``info.num_classes`` − 1.
        info: the data set's shapes and number of classes.
    """
    shape = (info.in_channels, info.image_size, info.image_size)
    count, top = len(images), info.num_classes - 1
    if count == 0 or images.dtype != np.uint8 or images.shape[1:] != shape:
        expected = f"expected uint8 (N, {', '.join(map(str, shape))})"
        return f"images are {images.dtype} {images.shape}, {expected}"
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        return f"labels are {labels.dtype} {labels.shape}, expected integers ({count},)"
    if labels.min() < 0 or labels.max() > top:
        return f"labels go from {labels.min()} to {labels.max()}, expected 0 to {top}"
    return ""


@dataclass(frozen=True, eq=False)
class FolderSplit:
    """A map-style data set: item i is (image uint8 (C, H, W), label), read when asked for."""

    samples: Sequence[tuple[str, int]]  # file and label
    read: Callable[[str], object]  # from a file to an image (H, W, C)
    shape: tuple[int, int, int]  # (H, W, C), checked

    @property
    def labels(self) -> Tensor:
        """The labels int64 (N,)."""
        return torch.tensor([label for _, label in self.samples])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Read one image.

        Raises:
            DataError: the file is no image, or not one of this shape, at every try.
        """
        path, label = self.samples[index]
        for wait in (*WAITS, None):
            try:
                image = np.array(self.read(path))  # (H, W, C)
                break
            except (OSError, ValueError, SyntaxError) as error:
                if isinstance(error, OSError) and wait is not None:
                    time.sleep(wait)
                    continue
                raise DataError(f"{path} cannot be read ({one_line(error)}): replace it") from error
        if image.shape != self.shape:
            raise DataError(f"{path} has shape {image.shape}, expected {self.shape}: replace it")
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), label

    def images(self) -> Iterator[Tensor]:
        """Iterate over the images in order, several of which are read at a time.

        Raises:
            DataError: one cannot be read.
        """
        with ThreadPoolExecutor() as pool:
            for image, _ in pool.map(self.__getitem__, range(len(self))):
                yield image

    def check(self) -> None:
        """Read every image once.

        Raises:
            DataError: one cannot be read.
        """
        for _ in self.images():
            pass

    def decoded(self) -> TensorSplit:
        """Read all images into memory, with a progress bar on a terminal.

        Raises:
            DataError: one cannot be read, or tqdm is missing.
        """
        bar = require("tqdm", "a folder of images").tqdm
        height, width, channels = self.shape
        images = torch.empty((len(self), channels, height, width), dtype=torch.uint8)
        read = bar(self.images(), "reading", len(self), unit=" images", disable=None, leave=False)
        for index, image in enumerate(read):
            images[index] = image
        return TensorSplit(images, self.labels)

    def head(self, count: int | None) -> FolderSplit:
        """Return the first ``count`` images; all of them for None."""
        return FolderSplit(self.samples[:count], self.read, self.shape)


class Source(NamedTuple):
    """A data set as it is published; what a reader returns.

    Attributes:
        train, test: splits.
        validation: a split; None where the data set has none of its own.
        facts: attributes of the `DatasetInfo` that only reading tells.
    """

    train: Split
    validation: Split | None
    test: Split
    facts: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set ready for an experiment; ``info.provenance`` says where its pixels are from."""

    train: Split
    validation: Split
    test: Split
    info: DatasetInfo


def stratified(labels: np.ndarray, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Divide 0 … N−1 into parts of the given sizes in which every class has its share.

    The images are shuffled and sorted by class, and every part takes evenly spaced ones of those
    that are left: so its size is exact, and every class proportional to within two images.

    Args:
        labels: integers (N,).
        sizes: sizes of the parts; their sum is N.
        seed: of the shuffle.

    Returns:
        One sorted index array per part; together they are a partition.

    Raises:
        ValueError: the sizes do not sum to N.
    """
    if sum(sizes) != len(labels):
        raise ValueError(f"sizes {tuple(sizes)} sum to {sum(sizes)}, expected {len(labels)}")
    # RandomState: the only NumPy generator whose stream is promised never to change.
    pool = np.random.RandomState(seed).permutation(len(labels))
    pool = pool[np.argsort(labels[pool], kind="stable")]
    parts = []
    for size in sizes:
        taken = np.zeros(len(pool), dtype=bool)
        taken[((np.arange(size) + 0.5) * len(pool) / size).astype(int)] = True
        parts.append(np.sort(pool[taken]))
        pool = pool[~taken]
    return parts
