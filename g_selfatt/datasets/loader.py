"""Batches on the device, in an order that only (seed, epoch) decides.

A resumed run therefore sees the batches that the interrupted one would have seen. Two loaders
share that order: one indexes tensors that live on the device, one reads files in worker processes.
"""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from g_selfatt.datasets.errors import DataError
from g_selfatt.datasets.record import DatasetInfo
from g_selfatt.datasets.splits import FolderSplit, Split, TensorSplit


class Loader(ABC):
    """Iterates (x float32 (B, C, H, W) normalized, y int64 (B,)) on a device; see `make_loader`."""

    def __init__(
        self,
        split: Split,
        info: DatasetInfo,
        batch_size: int,
        *,
        device: torch.device,
        shuffle: bool,
        seed: int,
        augment: bool,
        share: tuple[int, int],
    ) -> None:
        """Prepare epoch 0; the arguments are those of `make_loader`."""
        self.split = split
        self.batch_size = batch_size
        self.device = device
        self.shuffle = shuffle
        self.seed = seed
        self.share = share
        self.epoch = self.first_batch = 0
        self.transforms = info.augmentation if augment else ()
        self.mean = torch.tensor(info.mean, dtype=torch.float32, device=device)[:, None, None]
        self.std = torch.tensor(info.std, dtype=torch.float32, device=device)[:, None, None]

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        whole, rest = divmod(len(self.split), self.batch_size)
        return max(whole, 1) if self.shuffle else whole + (rest > 0)

    @property
    def images_per_batch(self) -> int:
        """Images in a whole batch, the shares of all processes together."""
        return min(self.batch_size, len(self.split))

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Choose the epoch that the next iteration is, and the batch that it begins with."""
        self.epoch, self.first_batch = epoch, first_batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over the batches of the chosen epoch."""
        mixed = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        count = len(self.split)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        order = order[: len(self) * self.batch_size]
        choices = [transform.draw(len(order), generator) for transform in self.transforms]
        choices = [self._shares(choice.to(self.device)) for choice in choices]
        for index, (images, labels) in enumerate(self._fetch(self._shares(order))):
            for transform, choice in zip(self.transforms, choices, strict=True):
                images = transform(images, choice[index])
            yield (images.float() / 255 - self.mean) / self.std, labels

    def _shares(self, values: Tensor) -> list[Tensor]:
        """What belongs to this process, batch by batch, of values that all images have."""
        index, count = self.share
        return [
            batch[len(batch) * index // count : len(batch) * (index + 1) // count]
            for batch in values.split(self.batch_size)[self.first_batch :]
        ]

    @abstractmethod
    def _fetch(self, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate (images uint8 (B, C, H, W), labels int64 (B,)) of these indices on the device."""


class TensorLoader(Loader):
    """Batches of a `TensorSplit` that was moved to the device once: no process, no wait."""

    def __init__(self, split: TensorSplit, *args, **kwargs) -> None:
        """Move the split to the device; the arguments are those of `Loader`."""
        super().__init__(split, *args, **kwargs)
        self.images = split.images.to(self.device)
        self.labels = split.labels.to(self.device, torch.int64)

    def _fetch(self, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        if not batches:
            return
        order = torch.cat(batches).to(self.device)  # moved to the device once, not batch by batch
        for batch in order.split([len(batch) for batch in batches]):
            yield self.images[batch], self.labels[batch]


class FolderLoader(Loader):
    """Batches of a `FolderSplit`, whose images worker processes read and decode."""

    def __init__(self, split: FolderSplit, *args, num_workers: int, **kwargs) -> None:
        """Keep ``num_workers`` for the epochs; the other arguments are those of `Loader`."""
        super().__init__(split, *args, **kwargs)
        self.num_workers = min(num_workers, os.cpu_count() or 1)

    def _fetch(self, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        reader = DataLoader(
            _Batches(self.split),
            batch_size=None,
            sampler=[batch.tolist() for batch in batches],
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
            # Its own generator: the workers' seeds must not advance that of the network's dropout.
            generator=torch.Generator(),
        )
        for batch in _alive(reader):
            if isinstance(batch, DataError):
                raise batch
            images, labels = batch
            yield (
                images.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )


def _alive(reader: DataLoader) -> Iterator[list[Tensor] | DataError]:
    """The batches; DataError where a process that reads them was killed."""
    batches = _start(reader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:  # the latter of its broken pipe
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise DataError(
                "a process that reads images was killed: it takes more memory, more /dev/shm, or "
                "fewer --config.num_workers"
            ) from error
        yield batch


def _start(reader: DataLoader) -> Iterator[list[Tensor] | DataError]:
    """Its iterator, without torch's handler that raises wherever the program is when one dies.

    A batch that is waited for says so too, where the run can still be saved.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        return iter(reader)
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(reader)
    signal.signal(signal.SIGCHLD, handler)
    return batches


class _Batches:
    """A map-style data set whose keys are lists of indices and whose items are whole batches."""

    def __init__(self, split: FolderSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, indices: list[int]) -> list[Tensor] | DataError:
        try:
            samples = [self.split[index] for index in indices or [0]]
            return [part[: len(indices)] for part in default_collate(samples)]
        except DataError as error:
            # Handed over, not raised: a worker would bury the message in its traceback, and that
            # traceback would keep the other workers alive until the next garbage collection.
            return error


def make_loader(
    split: Split,
    info: DatasetInfo,
    batch_size: int,
    *,
    device: str | torch.device,
    shuffle: bool,
    seed: int = 0,
    augment: bool = False,
    num_workers: int = 4,
    share: tuple[int, int] = (0, 1),
) -> Loader:
    """Make the loader that fits the split.

    Args:
        split: a split of `datasets.load`.
        info: its `DatasetInfo`, for normalization and augmentation.
        batch_size: images per batch.
        device: where the batches are to be.
        shuffle: for training: the order is drawn from (seed, epoch), and an incomplete last batch
            is dropped unless it is the only one. Otherwise every image comes once, in order.
        seed: not negative; of the order and the augmentation.
        augment: whether the transformations of ``info`` are applied.
        num_workers: at most so many processes read files; a `TensorSplit` needs none.
        share: (i, n): of each batch, part i of n, in order; sizes differ by one image at most, and
            the parts of a batch smaller than n may be empty.

    Returns:
        A `Loader`. Its ``len`` is the number of batches; ``set_epoch(e)`` chooses the epoch, and
        ``set_epoch(e, b)`` begins it with batch b.

    Raises:
        ValueError: the batch size, the seed, the number of workers or the share is out of range.
    """
    for key, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("num_workers", num_workers, 0),
    ):
        if value < least:
            raise ValueError(f"{key} must be at least {least}, got {value}")
    if not 0 <= share[0] < share[1]:
        raise ValueError(f"share must be (i, n) with 0 ≤ i < n, got {share}")
    common = {
        "device": torch.device(device),
        "shuffle": shuffle,
        "seed": seed,
        "augment": augment,
        "share": share,
    }
    if isinstance(split, TensorSplit):
        return TensorLoader(split, info, batch_size, **common)
    return FolderLoader(split, info, batch_size, num_workers=num_workers, **common)
