"""What a key of the configuration is, and where the choices of one are read from.

A data set or a network declares the keys of its own beside it; a checkout's config.py has the keys
of every run. Nothing here imports torch, so that `python main.py --help` answers at once.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_MOST = 1_000_000  # of anything counted


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
        name: the word after `--config.`.
        type: bool, int, float, str or tuple.
        default: the value where the user gives none; None where something else decides, see `by`.
        meaning: one or two lines for the table of `--help`.
        choices: the valid values of a key that is a choice, accepted in any case.
        expected: what a valid value is, in the words of an error message.
        valid: whether a value is what `expected` says.
        by: what decides where the default is None.
        before: the value of a run that is older than the key, where the default is None.
        argument: the keyword of the network or reader that takes the value; empty: the name.
    """

    name: str
    type: type
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    expected: str = ""
    valid: Callable[[Any], bool] = lambda value: True
    by: str = "data set"
    before: Any = None
    argument: str = ""

    @property
    def keyword(self) -> str:
        """The keyword argument that takes the value."""
        return self.argument or self.name

    def typed_default(self) -> Any:
        """The default in a ConfigDict: a placeholder of its type for None."""
        from ml_collections import config_dict  # which only the programs of a checkout need

        return config_dict.placeholder(self.type) if self.default is None else self.default


def positive(name: str, default: float | None, meaning: str, **options: Any) -> Key:
    """A key whose value is a finite number above 0; the options are attributes of `Key`."""
    options |= {
        "expected": "a finite number above 0",
        "valid": lambda value: math.isfinite(value) and value > 0,
    }
    return Key(name, float, default, meaning, **options)


def not_negative(name: str, default: float | None, meaning: str, **options: Any) -> Key:
    """A key whose value is a finite number, at least 0; the options are attributes of `Key`."""
    options |= {
        "expected": "a finite number, at least 0",
        "valid": lambda value: math.isfinite(value) and value >= 0,
    }
    return Key(name, float, default, meaning, **options)


def rate(name: str, default: float | None, meaning: str, **options: Any) -> Key:
    """A key whose value is a number in [0, 1); the options are attributes of `Key`."""
    options |= {"expected": "in [0, 1)", "valid": lambda value: 0 <= value < 1}
    return Key(name, float, default, meaning, **options)


def count(name: str, default: int | None, meaning: str, least: int = 1, **options: Any) -> Key:
    """A key whose value is a whole number from `least`; the options are attributes of `Key`."""
    options |= {
        "expected": f"at least {least} and at most {_MOST:,}",
        "valid": lambda value: least <= value <= _MOST,
    }
    return Key(name, int, default, meaning, **options)


def choices_of(module: str, name: str) -> tuple[str, ...]:
    """The strings of a tuple, or the keys of a dictionary, that a module defines.

    The module is read, not imported: most of them import torch, which takes seconds.

    Args:
        module: its dotted name.
        name: of the tuple or dictionary, written out at the top level of the module.

    Raises:
        ValueError: the module defines no such tuple or dictionary.
    """
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    for statement in _statements(rf"{name}\b", source):
        assignment = ast.parse(statement).body[0]
        return _strings(getattr(assignment, "value", None))
    raise ValueError(f"{module} defines no {name}")


def registered(package: str, decorator: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modules of a package of this repository that register something, without importing them.

    Args:
        package: its name.
        decorator: the name of the decorator that registers.

    Returns:
        Pairs of a module's name and the names in the first argument of the decorator, where that is
        a tuple or a dictionary.
    """
    for file in sorted((ROOT.joinpath(*package.split("."))).glob("*.py")):
        names: tuple[str, ...] = ()
        decorators = list(_statements(rf"@{decorator}\(", file.read_text(encoding="utf-8")))
        for statement in decorators:
            call = ast.parse(statement[1:], mode="eval").body
            names += _strings(call.args[0]) if isinstance(call, ast.Call) and call.args else ()
        if decorators:
            yield f"{package}.{file.stem}", names


def declared_keys(package: str) -> Iterator[str]:
    """The names of the keys that the modules of a package declare, without importing them."""
    makers = {"Key", "positive", "not_negative", "rate", "count"}
    for file in sorted((ROOT.joinpath(*package.split("."))).glob("*.py")):
        source = file.read_text(encoding="utf-8")
        if "config_keys import" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and node.args:
                maker = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                name = node.args[0]
                if maker in makers and isinstance(name, ast.Constant):
                    yield str(name.value)


def _statements(start: str, source: str) -> Iterator[str]:
    """The top-level statements that begin with a pattern; the rest of the source is not parsed."""
    for match in re.finditer(rf"^{start}.*?(?=^[^\s)\]}}]|\Z)", source, re.DOTALL | re.MULTILINE):
        yield match[0]


def _strings(node: ast.AST | None) -> tuple[str, ...]:
    elements = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    return tuple(str(element.value) for element in elements if isinstance(element, ast.Constant))
