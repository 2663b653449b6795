"""From a name to the splits of an experiment: which images are trained on, which are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datasets.info import INFO, canonical_name
from datasets.mnist_rot import MNIST_rot
from datasets.pcam_folder import pcam
from datasets.rot_digits import rot_digits
from datasets.splits import Splits
from datasets.torchvision_sets import cifar10, mnist

_READERS = {
    "rotDigits": rot_digits,
    "rotMNIST": MNIST_rot,
    "MNIST": mnist,
    "CIFAR10": cifar10,
    "PCam": pcam,
}
EVAL_PROTOCOLS = ("held_out", "paper")


def load(
    name: str,
    root: str | Path = "data",
    *,
    eval_protocol: str = "held_out",
    download: bool = True,
    limit: int | None = None,
) -> Splits:
    """Load a data set, making or downloading it if need be.

    Args:
        name: a name of `datasets.NAMES`, in any case.
        root: folder of all data sets.
        eval_protocol: ``"held_out"`` keeps validation apart from test: the data set's own split,
            or the last images of its training set. ``"paper"`` is what the released code does:
            every training image it trains on is trained on, and validation is the test split.
        download: whether missing files may be downloaded.
        limit: keep only the first so-many images of every split.

    Returns:
        The splits; under ``"paper"``, validation and test are the same object.

    Raises:
        ValueError: the name, the protocol or the limit is not one that exists.
        DataError: data are missing or damaged.
    """
    name = canonical_name(name)
    if eval_protocol not in EVAL_PROTOCOLS:
        raise ValueError(
            f"unknown eval_protocol {eval_protocol!r}: expected one of {', '.join(EVAL_PROTOCOLS)}"
        )
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 image, or None for all, got {limit}")

    info = INFO[name]
    train, validation, test, provenance = _READERS[name](Path(root), download=download)
    if eval_protocol == "held_out" and validation is None:
        train, validation = train.hold_out(info.held_out)
    test = test.head(limit)
    validation = test if eval_protocol == "paper" else validation.head(limit)
    info = replace(info, provenance=provenance or info.provenance)
    return Splits(train.head(limit), validation, test, info)
