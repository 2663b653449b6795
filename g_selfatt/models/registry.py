"""Networks by name: registered beside their class, made for a data set, listed.

A network is one registration in the file of its family. Image size, channels and number of classes
come from the record of the data set; the rest of its arguments from the family, by data set; and
what the family's class takes is read from its signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from typing import Any, TypeVar

from torch import nn

from g_selfatt.config_keys import Key
from g_selfatt.datasets import DatasetInfo

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
_REGISTRY: dict[str, ModelEntry] = {}


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a network before it is made.

    Attributes:
        name: what users call it.
        group: name of the group that it is equivariant to; "z2" has translations only.
        build: the class, or a function, that makes it from keyword arguments.
        arguments: from a data set's record to keyword arguments of `build`; a ValueError says why
            the network does not fit the data set.
        keys: keys of the configuration that the family adds, handed to `build`.
    """

    name: str
    group: str
    build: Callable[..., nn.Module]
    arguments: Callable[[DatasetInfo], Mapping[str, Any]]
    keys: tuple[Key, ...] = ()

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.build).parameters

    @property
    def of_library(self) -> bool:
        """Whether the network is the library's, and not registered by a file of the user's."""
        return self.build.__module__.startswith("g_selfatt.models.")

    def takes(self, keyword: str) -> bool:
        """Whether `build` has a keyword argument."""
        return keyword in self._parameters

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults in the signature of `build`."""
        return {
            name: parameter.default
            for name, parameter in self._parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }

    def arguments_for(self, info: DatasetInfo) -> dict[str, Any]:
        """The keyword arguments of `build` for a data set, defaults of its signature included.

        Raises:
            ValueError: the network does not fit the data set.
        """
        facts = {
            "group": self.group,
            "image_size": info.image_size,
            "in_channels": info.in_channels,
            "num_classes": info.num_classes,
        }
        facts = {keyword: value for keyword, value in facts.items() if self.takes(keyword)}
        return {**self.defaults, **facts, **self.arguments(info)}


def register_model(
    groups: Mapping[str, str],
    *,
    arguments: Callable[[DatasetInfo], Mapping[str, Any]] = lambda info: {},
    keys: tuple[Key, ...] = (),
) -> Callable[[Builder], Builder]:
    """Register networks: a decorator of the class, or the function, that makes them.

    What is decorated is called with keyword arguments: of ``group``, ``image_size``,
    ``in_channels`` and ``num_classes`` those that it has, and what the configuration sets of the
    others.

    Args:
        groups: names of the networks and of the groups that they are equivariant to.
        arguments, keys: see `ModelEntry`.

    Returns:
        The decorator; it returns what it is given.

    Raises:
        ValueError: a network of the repository has the name, or ``**arguments`` hide what is taken.
    """

    def decorate(build: Builder) -> Builder:
        for parameter in inspect.signature(build).parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                raise ValueError(
                    f"{build.__name__} has **{parameter.name}, expected all arguments by name: the "
                    "configuration gives a network what it has an argument for"
                )
        for name, group in groups.items():
            there = _REGISTRY.get(name.lower())
            if there and there.of_library and there.build.__module__ != build.__module__:
                module = there.build.__module__
                raise ValueError(f"model {name}: {module} has that name already; give another")
            _REGISTRY[name.lower()] = ModelEntry(name, group, build, arguments, keys)
        return build

    return decorate


def list_models(filter: str = "") -> list[str]:
    """The names of the networks.

    Args:
        filter: a pattern such as ``"p4*"``, in any case; empty for all.
    """
    pattern = filter.lower() or "*"
    return [entry.name for name, entry in _REGISTRY.items() if fnmatch(name, pattern)]


def model_entry(name: str) -> ModelEntry:
    """The entry of a network, by its name in any case.

    Raises:
        ValueError: there is no such model; the message lists those that there are.
    """
    try:
        return _REGISTRY[str(name).lower()]
    except KeyError:
        raise ValueError(
            f"unknown model {name!r}; choose one of {', '.join(list_models())}"
        ) from None
