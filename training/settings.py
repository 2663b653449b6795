"""From the configuration as given to one that is complete and possible, or to one clear line."""

import importlib.util
import re
from collections.abc import Callable
from typing import Any

import torch
from ml_collections import ConfigDict

import datasets
import models
from config import PROTOCOLS
from g_selfatt.backends import BACKENDS
from models.presets import PRESETS
from training.errors import ConfigError
from training.values import check_values

# The keys of a run that are facts of the network: config name -> keyword of GroupTransformer.
NETWORK_KEYS = {
    "patch_size": "patch_size",
    "norm_type": "norm_type",
    "activation_function": "activation_function",
    "dropout_att": "attention_dropout_rate",
    "dropout_values": "value_dropout_rate",
    "whitening_scale": "whitening_scale",
    "position_init_scale": "position_init_scale",
}
# The models whose group maps the pixel grid to itself, which is what a table of offsets needs.
_GRID_MODELS = ("z2sa", "mz2sa", "p4sa", "p4msa")


def resolve(config: ConfigDict) -> ConfigDict:
    """Complete a configuration.

    Args:
        config: as `command_line.parse` or `config.get_config` give it.

    Returns:
        A copy in which nothing is None and every name has its one spelling.

    Raises:
        ConfigError: as `values.check_values`, and for an unknown data set or model.
    """
    config = check_values(config)
    config.dataset = _canonical("dataset", config.dataset, datasets.canonical_name, datasets.NAMES)
    config.model = _canonical("model", config.model, models.canonical_name, models.MODEL_NAMES)
    preset = PRESETS[config.dataset]
    by_data_set: dict[str, Any] = {
        **PROTOCOLS[config.dataset],
        **{name: preset[keyword] for name, keyword in NETWORK_KEYS.items()},
        "train": not config.pretrained,
    }
    for name, value in by_data_set.items():
        if config[name] is None:
            config[name] = value
    return config


def check(config: ConfigDict) -> None:
    """Refuse what only shows when several keys, or the keys and the machine, are seen together.

    Args:
        config: from `resolve`.

    Raises:
        ConfigError: the line names the key, what was got and what is valid.
    """
    info = datasets.INFO[config.dataset]
    if config.model == "z2cnn" and (info.image_size, info.in_channels) != (28, 1):
        fitting = [n for n, i in datasets.INFO.items() if (i.image_size, i.in_channels) == (28, 1)]
        raise ConfigError(
            f"model: z2cnn is defined for 28x28 grey images ({', '.join(fitting)}), "
            f"got dataset={config.dataset}"
        )
    if config.attention_type == "Local" and config.patch_size > info.image_size:
        raise ConfigError(
            f"patch_size: got {config.patch_size}, expected at most {info.image_size}, the side of "
            f"the images of {config.dataset}; attention_type=Global sees the whole image"
        )
    if config.positional_encoding == "table" and config.model not in _GRID_MODELS:
        raise ConfigError(
            f"positional_encoding: a table needs a group that maps the pixel grid to itself "
            f"({', '.join(_GRID_MODELS)}), got model={config.model}; use positional_encoding=mlp"
        )
    if config.backend not in ("auto", *BACKENDS):
        raise ConfigError(
            f"backend: got {config.backend!r}, expected one of auto, {', '.join(BACKENDS)}"
        )
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
    if config.wandb != "disabled" and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            f"wandb: got {config.wandb!r}, but it is not installed: pip install wandb"
        )
    device = choose_device(config.device)
    if config.compile and device.type == "cpu":
        raise ConfigError(
            f"compile: True needs CUDA, got device={config.device} (here: cpu); on the CPU the "
            "attention is compiled without it"
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


def _canonical(
    key: str, value: str, spelling: Callable[[str], str], choices: tuple[str, ...]
) -> str:
    try:
        return spelling(value)
    except ValueError as error:
        raise ConfigError(f"{key}: got {value!r}, expected one of {', '.join(choices)}") from error
