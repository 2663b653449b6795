"""Compare what a reader returns with the record of its data set, before anything trains on it."""

from __future__ import annotations

from dataclasses import fields, replace
from numbers import Real

from torch import Tensor

from g_selfatt.datasets.record import DatasetInfo
from g_selfatt.datasets.splits import FolderSplit, Source, Split, TensorSplit, arrays_problem


def completed(info: DatasetInfo, source: object, *, needs_validation: bool) -> DatasetInfo:
    """The record of a data set with the facts that its reader found; it and the splits are checked.

    Of a split of another class than the library's, the first image stands for all.

    Args:
        info: the record as it is registered.
        source: what the reader returned.
        needs_validation: whether a part of the training images serves as validation where the
            source has no split of its own.

    Raises:
        ValueError: a split or a fact is not what `Source` and `DatasetInfo` say it is.
    """
    reader = f"data set {info.name}: its reader "
    if not isinstance(source, Source):
        kind = type(source).__name__
        raise ValueError(f"{reader}must return a Source(train, validation, test), got {kind}")
    if unknown := sorted(set(source.facts) - {fact.name for fact in fields(info)}):
        raise ValueError(f"{reader}returned facts that there are not: {', '.join(unknown)}")
    info = replace(info, **source.facts)
    problem = _facts_problem(info)
    for name in ("train", "validation", "test"):
        split = getattr(source, name)
        if not problem and not (name == "validation" and split is None):
            problem = _split_problem(name, split, info)
    if not problem and needs_validation and source.validation is None:
        problem = _held_out_problem(source.train, info)
    if problem:
        raise ValueError(reader + problem)
    return info


def _facts_problem(info: DatasetInfo) -> str:
    if info.unknown:
        return f"must return {', '.join(info.unknown)} in Source.facts, or its record give them"
    for name in ("mean", "std"):
        numbers = getattr(info, name)
        right = isinstance(numbers, tuple | list) and len(numbers) == info.in_channels
        if not right or not all(isinstance(number, Real) for number in numbers):
            return (
                f"or record gives {name}={numbers!r}, expected one number for each of its "
                f"{info.in_channels} channels"
            )
    if not all(number > 0 for number in info.std):
        return f"or record gives std={info.std!r}, expected numbers above 0"
    if info.classes and len(info.classes) != info.num_classes:
        return f"or record gives {len(info.classes)} classes, and num_classes={info.num_classes}"
    return ""


def _split_problem(name: str, split: Split, info: DatasetInfo) -> str:
    if isinstance(split, FolderSplit):
        return ""  # compares every image that it reads
    lacking = [needed for needed in ("__len__", "labels", "head") if not hasattr(split, needed)]
    if lacking:
        return f"returned a {type(split).__name__} as {name}, without {', '.join(lacking)}"
    if len(split) == 0:
        return f"returned no image in {name}"
    images = split.images if isinstance(split, TensorSplit) else split[0][0]
    for values, what in ((images, "images"), (split.labels, "labels")):
        if not isinstance(values, Tensor):
            return f"returned {name} {what} that are {type(values).__name__}, expected a Tensor"
    if not isinstance(split, TensorSplit):
        images = images.expand(len(split), *images.shape)
    problem = arrays_problem(images.numpy(), split.labels.numpy(), info)
    return f"returned {name} {problem}" if problem else ""


def _held_out_problem(train: Split, info: DatasetInfo) -> str:
    if info.held_out < 1:
        return (
            "returned no validation split: return one, or give the record held_out, the number of "
            "training images that serve as validation"
        )
    if not hasattr(train, "hold_out"):
        return f"must return a validation split: {type(train).__name__} has no hold_out"
    return ""
