"""From the configuration as given to one that is complete and possible, or to one clear line."""

import importlib.util
import re
from dataclasses import replace
from typing import Any

import torch
from ml_collections import ConfigDict

from config import KEYS
from g_selfatt import datasets, groups, models
from g_selfatt.backends import check_backend_name
from training.errors import ConfigError
from training.keys_taken import network_keys, own_keys
from training.values import check_values


def resolve(config: ConfigDict) -> ConfigDict:
    """Complete a configuration.

    Args:
        config: as `command_line.parse` or `config.get_config` give it.

    Returns:
        A copy in which nothing is None and every name has its one spelling.

    Raises:
        ConfigError: as `values.check_values`, and for an unknown data set or model.
    """
    if config.pretrained and config.path and not config.train:
        from training.pretrained import of_folder  # which resolves defaults

        config = of_folder(config)
    elif config.weights:
        from training.transfer import of_weights

        config = of_weights(config)
    own = own_keys(config)
    for name in sorted(set(config) - {*KEYS, *own}):
        raise ConfigError(
            f"{name}: no key of model={config.model} or dataset={config.dataset} has that name"
        )
    config = check_values(config, own)
    config.dataset = datasets.canonical_name(config.dataset)
    config.model = models.model_entry(config.model).name
    info = _record(config)
    arguments = _arguments(config.model, info)
    defaults = {
        **vars(info.protocol),
        **{key.name: arguments.get(key.keyword) for key in network_keys(config)},
        "train": not config.pretrained,
    }
    for name, value in defaults.items():
        if config[name] is None:
            config[name] = value
    return check_values(config, own)  # a registration's values too


def check(config: ConfigDict) -> None:
    """Refuse what only shows when several keys, or the keys and the machine, are seen together.

    Args:
        config: from `resolve`.

    Raises:
        ConfigError: the line names the key, what was got and what is valid.
    """
    info = _record(config)
    taken = {key.name for key in network_keys(config)}
    windowed = "patch_size" in taken and config.attention_type == "Local"
    if windowed and info.image_size and config.patch_size > info.image_size:
        raise ConfigError(
            f"patch_size: got {config.patch_size}, expected at most {info.image_size}, the side of "
            f"the images of {config.dataset}; attention_type=Global sees the whole image"
        )
    if (
        "positional_encoding" in taken
        and config.positional_encoding == "table"
        and not _on_grid(config.model)
    ):
        raise ConfigError(
            "positional_encoding: a table needs a group that maps the pixel grid to itself "
            f"({', '.join(filter(_on_grid, models.list_models()))}), got model={config.model}; use "
            "positional_encoding=mlp"
        )
    try:
        check_backend_name(config.backend)
    except ValueError as error:
        raise ConfigError(f"backend: {error}") from error
    if config.scheduler == "multistep" and not config.sched_decay_steps:
        raise ConfigError('sched_decay_steps: scheduler=multistep needs them, such as "(100,200)"')
    if config.scheduler == "multistep" and config.sched_decay_steps[-1] >= config.epochs:
        raise ConfigError(
            f"sched_decay_steps: got {config.sched_decay_steps!r}, expected epochs below "
            f"{config.epochs}, where the run ends (epochs)"
        )
    if not config.train and not config.pretrained:
        raise ConfigError(
            "train: False leaves nothing to do; add --config.pretrained=True to evaluate"
        )
    if config.weights and config.pretrained and config.train:
        raise ConfigError(
            "weights: training starts from these, and pretrained=True names others; leave one out"
        )
    if config.freeze == "backbone" and not config.weights:
        raise ConfigError(
            "freeze: backbone needs trained weights, --config.weights=FOLDER_OR_NAME, got none"
        )
    if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError("tensorboard: got True, but it is not installed: pip install tensorboard")
    if config.wandb != "disabled" and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            f"wandb: got {config.wandb!r}, but it is not installed: pip install wandb"
        )
    device = choose_device(config.device)
    if config.compile and device.type == "cpu":
        raise ConfigError(
            f"compile: True needs CUDA, got device={config.device} (here: cpu); on the CPU the "
            "attention is compiled without it, and compiling the rest takes minutes for a step "
            "that is about as long"
        )
    if config.amp == "fp16" and device.type == "cpu":
        raise ConfigError(
            f"amp: fp16 needs CUDA, got device={config.device} (here: cpu); use amp=bf16 or amp=off"
        )


def choose_device(name: str) -> torch.device:
    """The device that a name of the configuration means on this machine.

    Args:
        name: auto, cpu, cuda or cuda:N.

    Returns:
        The device; auto is CUDA where there is one.

    Raises:
        ConfigError: no such name, or no such device here.
    """
    here = ["auto", "cpu"]
    if torch.cuda.is_available():
        here += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ConfigError(f"device: got {name!r}, expected auto, cpu, cuda or cuda:N")
    if name not in here:
        raise ConfigError(
            f"device: got {name!r}, which torch does not see here; valid: {', '.join(here)}"
        )
    if name == "auto":
        return torch.device("cuda" if "cuda" in here else "cpu")
    return torch.device(name)


def _record(config: ConfigDict) -> datasets.DatasetInfo:
    """The record of the data set, with what its keys tell before its reader does: image_size."""
    info = datasets.INFO[config.dataset]
    return replace(info, **{fact: config[fact] for fact in info.unknown if config.get(fact)})


def _arguments(model: str, info: datasets.DatasetInfo) -> dict[str, Any]:
    """What the network is made with for a data set; ConfigError where it does not fit it."""
    try:
        return models.model_entry(model).arguments_for(info)
    except ValueError as error:
        fitting = [name for name, other in datasets.INFO.items() if _fits(model, other)]
        raise ConfigError(f"model: {error}; data sets that fit: {', '.join(fitting)}") from error


def _fits(model: str, info: datasets.DatasetInfo) -> bool:
    try:
        models.model_entry(model).arguments_for(info)
    except ValueError:
        return False
    return True


def _on_grid(model: str) -> bool:
    """Whether the group of a network maps the pixel grid to itself."""
    return groups.get(models.model_entry(model).group).preserves_grid
