"""The network that a configuration describes, compiled where it asks for that."""

from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import nn

from g_selfatt import models
from g_selfatt.datasets import DatasetInfo
from g_selfatt.datasets.errors import one_line
from g_selfatt.nn.modes import evaluating
from training.errors import ConfigError
from training.keys_taken import network_keys
from training.precision import Precision


def create_network(
    config: ConfigDict, info: DatasetInfo, device: torch.device, weights: Path | None = None
) -> nn.Module:
    """Draw a network from torch's generator.

    Args:
        config: resolved and checked.
        info: of the data set.
        device: where the network is to be.
        weights: whose architecture it has; None for that of the data set.

    Returns:
        (B, C, H, W) to logits (B, classes), in training mode.

    Raises:
        ConfigError: a network that does not fit the data set, or a backend that cannot run it; the
            message says why.
    """
    taken = {key.keyword: config[key.name] for key in network_keys(config)}
    arguments = {keyword: value for keyword, value in taken.items() if value is not None}
    if weights:
        arguments = _architecture(weights, info) | arguments
    try:
        network = models.create_model(config.model, info, **arguments).to(device)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model: {error}") from error
    of_library = models.model_entry(config.model).of_library
    if of_library and taken.get("backend", "auto") == "auto" and not weights:  # asked when it runs
        return network
    # Asked here, before the first epoch.
    image = torch.zeros(1, info.in_channels, info.image_size, info.image_size, device=device)
    try:
        with torch.no_grad():
            logits = network.eval()(image)
    except (ValueError, RuntimeError) as error:
        key = "weights" if weights else "backend" if of_library else "model"
        raise ConfigError(f"{key}: {one_line(error)}") from error
    if logits.shape != (1, info.num_classes):
        raise ConfigError(
            f"model: {config.model} returns {tuple(logits.shape)} for one image, expected "
            f"(1, {info.num_classes}): a logit for each class"
        )
    return network.train()


def _architecture(path: Path, info: DatasetInfo) -> dict[str, Any]:
    """The arguments of the network of weights, for the classes of a data set.

    ``image_size`` stays: it is the unit of the positions that global attention was trained with.
    """
    weights = models.Weights.read(path)
    arguments = weights.arguments
    if arguments.get("in_channels", info.in_channels) != info.in_channels:
        raise ConfigError(
            f"weights: {weights.name} takes images of {_channels(arguments['in_channels'])}, those "
            f"of {info.name} have {_channels(info.in_channels)}"
        )
    if "num_classes" in arguments:
        arguments["num_classes"] = info.num_classes
    return arguments


def _channels(count: int) -> str:
    return f"{count} channel{'s' * (count > 1)}"


def compile_network(
    network: nn.Module, info: DatasetInfo, device: torch.device, precision: Precision
) -> None:
    """Compile a network in place, on CUDA into graphs that replay a step without launching it.

    Args:
        network: (B, C, H, W) to logits; its state dict stays as it is.
        info: of the data set.
        device: where the network is.
        precision: that it will run in.
    """
    # Once uncompiled: attention backends that must prove themselves cannot do so in a compiler, and
    # what the first call computes and keeps becomes constants of the graph. In eval mode, which
    # draws no random numbers.
    image = torch.zeros(1, info.in_channels, info.image_size, info.image_size, device=device)
    with evaluating(network), torch.no_grad(), precision.autocast():
        network(image)
    network.compile(mode="reduce-overhead", dynamic=False)
