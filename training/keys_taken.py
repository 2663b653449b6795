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


def doubts(config: Mapping[str, Any]) -> list[str]:
    """What in a resolved configuration can hardly be meant: keys without effect, or of a bad one.

    Returns:
        A line for each, which begins with the name of a key.
    """
    taken = {key.name for key in network_keys(config)}
    given = [key for key in SECTIONS["The network"] if config[key.name] not in (None, key.default)]
    lines = [
        f"{key.name}: {config['model']} takes no such key, so it changes nothing"
        for key in given
        if key.name not in taken
    ]
    if config["augment"] and not datasets.INFO[config["dataset"]].augmentation:
        lines.append(f"augment: {config['dataset']} has no augmentation, so it changes nothing")
    spread = config["position_init_scale"] or config.get("locality_init")
    by_mlp = "locality_init" in taken and config["positional_encoding"] != "table"
    if config["train"] and config["optimizer"] == "SGD" and by_mlp and not spread:
        lines.append(
            "position_init_scale: with 0 and SGD, the first steps make the position networks blind "
            "(docs/fidelity.md); 1 does not"
        )
    return lines
