"""Group equivariant self-attention for vision (Romero & Cordonnier, ICLR 2021).

A subpackage is imported when it is first used: the facts of the data sets need no torch, and the
layers need nothing of the networks and the data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from g_selfatt import backends, datasets, functional, groups, models, nn, testing

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "backends",
    "datasets",
    "functional",
    "groups",
    "models",
    "nn",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"g_selfatt.{name}")
    raise AttributeError(f"module 'g_selfatt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
