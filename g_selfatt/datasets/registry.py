"""Data sets by name: registered once, found in any spelling, loaded as the splits of an experiment.

A file that registers a data set imports torch and NumPy inside its functions: the facts of all data
sets are there at once, and `python main.py --help` does not wait for torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from g_selfatt.config_keys import registered
from g_selfatt.datasets.record import DatasetInfo

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source, Splits

Reader = TypeVar("Reader", bound="Callable[..., Source]")
EVAL_PROTOCOLS = ("held_out", "paper")

INFO: dict[str, DatasetInfo] = {}
"""The record of every data set by its canonical name; `register` adds to it."""


def register(*, name: str, **facts: Any) -> Callable[[Reader], Reader]:
    """Register a data set: a decorator of its reader.

    Args:
        name: the canonical name.
        facts: the other attributes of `DatasetInfo`, without `read`.

    Returns:
        The decorator; it returns the reader as it is.

    Raises:
        ValueError: a fact that there is not, or a name that a data set of the repository has.
    """
    known = {field.name for field in fields(DatasetInfo)} - {"name", "read"}
    if unknown := sorted(set(facts) - known):
        raise ValueError(
            f"data set {name}: no such fact: {', '.join(unknown)}; choose from {', '.join(known)}"
        )

    def decorate(read: Reader) -> Reader:
        info = DatasetInfo(name=name, read=read, **facts)
        for spelling in (name, *info.aliases):
            there = INFO.get(_spellings().get(spelling.lower(), ""))
            module = there.read.__module__ if there else ""
            if module.startswith("g_selfatt.datasets.") and module != read.__module__:
                raise ValueError(f"data set {name}: {module} has that name already; give another")
        INFO[name] = info
        return read

    return decorate


def list_datasets() -> tuple[str, ...]:
    """The canonical names of the data sets."""
    return tuple(INFO)


def canonical_name(name: str) -> str:
    """Return the one spelling of a data set's name, given it in any case.

    Raises:
        ValueError: there is no such data set; the message lists those that there are.
    """
    try:
        return _spellings()[str(name).lower()]
    except KeyError:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(INFO)}") from None


def import_all() -> None:
    """Import the files of this folder that register a data set."""
    for module, _ in registered("g_selfatt.datasets", "register"):
        importlib.import_module(module)


def _spellings() -> dict[str, str]:
    return {word.lower(): i.name for i in INFO.values() for word in (i.name, *i.aliases)}


def load(
    name: str,
    root: str | Path = "data",
    *,
    eval_protocol: str = "held_out",
    download: bool = True,
    limit: int | None = None,
    **options: Any,
) -> Splits:
    """Load a data set, making or downloading it if need be.

    Args:
        name: a name of `list_datasets`, in any case.
        root: folder of all data sets.
        eval_protocol: ``"held_out"`` keeps validation apart from test: the data set's own split,
            or the last images of its training set. ``"paper"`` is what the released code does:
            every training image it trains on is trained on, and validation is the test split.
        download: whether missing files may be downloaded.
        limit: keep only the first ``limit`` images of every split; None for all.
        options: values of the data set's own keys, for its reader.

    Returns:
        The splits, and the record completed by what the reader found. Under ``"paper"``, validation
        and test are the same object.

    Raises:
        ValueError: the name, the protocol or the limit is not one that exists, or the data set's
            reader does not return what `Source` promises.
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
    source = info.read(Path(root), download=download, **options)
    from g_selfatt.datasets.checks import completed
    from g_selfatt.datasets.splits import Splits

    info = completed(info, source, needs_validation=eval_protocol == "held_out")
    train, validation, test = source.train, source.validation, source.test
    if eval_protocol == "held_out" and validation is None:
        train, validation = train.hold_out(info.held_out)
    test = test.head(limit)
    validation = test if eval_protocol == "paper" else validation.head(limit)
    return Splits(train.head(limit), validation, test, info)
