"""What goes wrong with data is one line: which file, where to get it, where to put it."""

from __future__ import annotations

import importlib
from types import ModuleType

_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}  # those that are not named as the module


class DataError(ValueError):
    """Data that is missing or damaged; the message is one line that says what to do."""


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` on one line, or its type's name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def require(module: str, purpose: str) -> ModuleType:
    """Import ``module`` only when it is needed, so that the package itself imports without it.

    Raises:
        DataError: the module is not installed, or does not fit the installed torch.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        package = module.partition(".")[0]
        package = _PACKAGES.get(package, package)
        raise DataError(
            f"{purpose} needs {package}, which cannot be imported ({one_line(error)}): "
            f"install it with `pip install {package}`"
        ) from error
