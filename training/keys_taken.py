"""Which keys matter to a run: those that its data set and its network have or take."""

from collections.abc import Mapping
from typing import Any

from config import SECTIONS
from g_selfatt import datasets
from g_selfatt.config_keys import Key
from training.errors import ConfigError


def missing(name: str) -> str:
    """What is said where a configuration lacks a key of config.py."""
    return f"{name}: missing from the config file, which starts from config.get_config()"


def own_keys(config: Mapping[str, Any]) -> dict[str, Key]:
    """The keys that the data set and the network of a configuration have for themselves.

    Args:
        config: with the keys dataset and model.

    Returns:
        Key by name.

    Raises:
        ConfigError: there is no such data set or model.
    """
    from g_selfatt import models  # loads torch

    for name in ("dataset", "model"):
        if name not in config:
            raise ConfigError(missing(name))
    try:
        info = datasets.INFO[datasets.canonical_name(config["dataset"])]
    except ValueError as error:
        raise ConfigError(f"dataset: {error}") from error
    try:
        entry = models.model_entry(config["model"])
    except ValueError as error:
        raise ConfigError(f"model: {error}") from error
    return {key.name: key for key in (*info.keys, *entry.keys)}


def network_keys(config: Mapping[str, Any]) -> list[Key]:
    """The keys that the network of a configuration takes, its own included.

    Args:
        config: whose model is registered.
    """
    from g_selfatt import models

    entry = models.model_entry(config["model"])
    return [key for key in SECTIONS["The network"] if entry.takes(key.keyword)] + [*entry.keys]


def unused_keys(config: Mapping[str, Any]) -> list[str]:
    """The names of the keys that are given and that the network of a configuration does not take.

    Args:
        config: whose model is registered.
    """
    taken = {key.name for key in network_keys(config)}
    others = [key for key in SECTIONS["The network"] if key.name not in taken]
    return [key.name for key in others if config[key.name] not in (None, key.default)]
