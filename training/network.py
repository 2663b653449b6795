"""The network that a configuration describes, compiled where it asks for that."""

import torch
from ml_collections import ConfigDict
from torch import nn

import models
from datasets import DatasetInfo
from training.errors import ConfigError
from training.keys_taken import network_keys
from training.precision import Precision


def create_network(config: ConfigDict, info: DatasetInfo, device: torch.device) -> nn.Module:
    """Draw a network from torch's generator.

    Args:
        config: resolved and checked.
        info: of the data set.
        device: where the network is to be.

    Returns:
        (B, C, H, W) to logits (B, classes), in training mode.

    Raises:
        ConfigError: a network that does not fit the data set, or a backend that cannot run it; the
            message says why.
    """
    taken = {key.keyword: config[key.name] for key in network_keys(config)}
    arguments = {keyword: value for keyword, value in taken.items() if value is not None}
    try:
        network = models.create_model(config.model, info, **arguments).to(device)
    except ValueError as error:
        raise ConfigError(f"model: {error}") from error
    if taken.get("backend", "auto") == "auto":  # asked when it runs
        return network
    # Asked here, before the first epoch.
    image = torch.zeros(1, info.in_channels, info.image_size, info.image_size, device=device)
    try:
        with torch.no_grad():
            network.eval()(image)
    except ValueError as error:
        raise ConfigError(f"backend: {error}") from error
    return network.train()


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
    training = network.training
    image = torch.zeros(1, info.in_channels, info.image_size, info.image_size, device=device)
    with torch.no_grad(), precision.autocast():
        network.eval()(image)
    network.train(training)
    network.compile(mode="reduce-overhead", dynamic=False)
