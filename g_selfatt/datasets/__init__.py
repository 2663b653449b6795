"""The data sets of the experiments: what they are, how they are split, how they are fed.

One file for each data set; importing them loads neither torch nor NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from g_selfatt.datasets.errors import DataError
from g_selfatt.datasets.record import DatasetInfo, Protocol
from g_selfatt.datasets.registry import (
    EVAL_PROTOCOLS,
    INFO,
    canonical_name,
    import_all,
    list_datasets,
    load,
    register,
)

import_all()
from g_selfatt.datasets.mnist_rot import MNIST_rot  # noqa: E402  (the public name of the authors)

if TYPE_CHECKING:
    from g_selfatt.datasets.loader import Loader, make_loader
    from g_selfatt.datasets.splits import Source, Splits, TensorSplit

_NEED_TORCH = {
    "Loader": "loader",
    "make_loader": "loader",
    "Source": "splits",
    "Splits": "splits",
    "TensorSplit": "splits",
}

__all__ = [
    "EVAL_PROTOCOLS",
    "INFO",
    "DataError",
    "DatasetInfo",
    "Loader",
    "MNIST_rot",
    "Protocol",
    "Source",
    "Splits",
    "TensorSplit",
    "canonical_name",
    "list_datasets",
    "load",
    "make_loader",
    "register",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name in _NEED_TORCH:
        from importlib import import_module

        return getattr(import_module(f"g_selfatt.datasets.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module 'g_selfatt.datasets' has no attribute {name!r}")
