"""Compare what a reader returns with the record of its data set, before anything trains on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from g_selfatt.datasets.errors import DataError
from g_selfatt.datasets.record import DatasetInfo
from g_selfatt.datasets.splits import FolderSplit, Source, Split, TensorSplit, arrays_problem

WHOLE_NUMBERS = ("image_size", "in_channels", "num_classes", "held_out")  # of a `DatasetInfo`


def completed(info: DatasetInfo, source: object, *, needs_validation: bool) -> DatasetInfo:
    """The record of a data set with the facts that its reader found; it and the splits are checked.

    Of a split of another class than the library's, the first image stands for all.

    Args:
        info: the record as it is registered.
        source: what the reader returned.
        needs_validation: whether a part of the training images serves as validation where the
            source has no split of its own.

    Raises:
        DataError: a split or a fact is not what `Source` and `DatasetInfo` say it is.
    """
    reader = f"data set {info.name}: its reader "
    if not isinstance(source, Source):
        kind = type(source).__name__
        raise DataError(f"{reader}must return a Source(train, validation, test), got {kind}")
    if not isinstance(source.facts, Mapping):
        raise DataError(f"{reader}returned facts={source.facts!r}, expected a dictionary")
    if unknown := sorted(set(source.facts) - {fact.name for fact in fields(info)}):
        raise DataError(f"{reader}returned facts that there are not: {', '.join(unknown)}")
    info = replace(info, **source.facts)
    problem = _numbers_problem(info)
    if not problem:
        plain: dict[str, Any] = {name: int(getattr(info, name)) for name in WHOLE_NUMBERS}
        plain |= {name: tuple(map(float, getattr(info, name))) for name in ("mean", "std")}
        info = replace(info, **plain)
        problem = _facts_problem(info)
    for name in ("train", "validation", "test"):
        split = getattr(source, name)
        if not problem and not (name == "validation" and split is None):
            problem = _split_problem(name, split, info)
    if not problem and needs_validation and source.validation is None:
        problem = _held_out_problem(source.train, info)
    if problem:
        raise DataError(reader + problem)
    return info


def _numbers_problem(info: DatasetInfo) -> str:
    for name in WHOLE_NUMBERS:
        number = getattr(info, name)
        if not isinstance(number, Integral) or number < 0:
            return f"or record gives {name}={number!r}, expected a whole number"
    for name in ("mean", "std"):
        numbers = getattr(info, name)
        try:
            right = all(0 <= float(number) <= 1 for number in numbers)
        except (TypeError, ValueError):
            right = False
        if not right:
            return (
                f"or record gives {name}={numbers!r}, expected a number from 0 to 1, of pixel/255, "
                "for each channel"
            )
    return ""


def _facts_problem(info: DatasetInfo) -> str:
    if info.unknown:
        return f"must return {', '.join(info.unknown)} in Source.facts, or its record give them"
    for name in ("mean", "std"):
        if len(numbers := getattr(info, name)) != info.in_channels:
            return f"or record gives {name}={numbers} for {info.in_channels} channels"
    if 0 in info.std:
        return f"or record gives std={info.std}, expected numbers above 0"
    if not isinstance(info.classes, (tuple, list)):
        return f"or record gives classes={info.classes!r}, expected a tuple of names"
    if info.classes and len(info.classes) != info.num_classes:
        return f"or record gives {len(info.classes)} classes, and num_classes={info.num_classes}"
    return ""


def _split_problem(name: str, split: Split, info: DatasetInfo) -> str:
    needed = ("__len__", "__getitem__", "labels", "head")
    if lacking := [attribute for attribute in needed if not hasattr(split, attribute)]:
        return f"returned a {type(split).__name__} as {name}, without {', '.join(lacking)}"
    if len(split) == 0:
        return f"returned no image in {name}"
    label = None
    if isinstance(split, TensorSplit):
        images = split.images
    elif isinstance(split, FolderSplit):  # compares every image that it reads with its shape
        images = torch.zeros(split.shape, dtype=torch.uint8).permute(2, 0, 1)
    else:
        try:
            images, label = split[0]
        except (TypeError, ValueError, LookupError):
            return f"returned {name} items that are no pairs of an image and its label"
    for values, what in ((images, "images"), (split.labels, "labels")):
        if not isinstance(values, Tensor):
            return f"returned {name} {what} that are {type(values).__name__}, expected a Tensor"
    if images.dtype != torch.uint8 or images.dim() < 3 or images.device.type != "cpu":
        shape = tuple(images.shape)
        return f"returned {name} images that are {images.dtype} {shape}, expected uint8 (C, H, W)"
    if split.labels.dtype.is_floating_point or split.labels.dtype == torch.bool:
        return f"returned {name} labels that are {split.labels.dtype}, expected integers"
    if not isinstance(split, TensorSplit):
        images = images.expand(len(split), *images.shape)
    if problem := arrays_problem(images.numpy(), split.labels.numpy(), info):
        return f"returned {name} {problem}"
    if label is not None and int(label) != int(split.labels[0]):
        return f"returned {name} items of other labels: the first is {label}, labels[0] is not"
    return ""


def _held_out_problem(train: Split, info: DatasetInfo) -> str:
    if info.held_out < 1:
        return (
            "returned no validation split: return one, or give the record held_out, the number of "
            "training images that serve as validation"
        )
    if not hasattr(train, "hold_out"):
        return f"must return a validation split: {type(train).__name__} has no hold_out"
    return ""
