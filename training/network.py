"""The network that a configuration describes, compiled where it asks for that."""

import torch
from ml_collections import ConfigDict
from torch import nn

import models
from datasets import DatasetInfo
from training.errors import ConfigError
from training.precision import Precision
from training.settings import NETWORK_KEYS


def create_network(config: ConfigDict, info: DatasetInfo, device: torch.device) -> nn.Module:
    """Draw a network from torch's generator.

    Args:
        config: resolved and checked.
        info: of the data set.
        device: where the network is to be.

    Returns:
        (B, C, H, W) to logits (B, classes), in training mode.

    Raises:
        ConfigError: a backend was named that cannot run this network; the message says why.
    """
    if config.model == "z2cnn":  # it has no attention to set up
        return models.create_model(config.model, config.dataset).to(device)
    network = models.create_model(
        config.model,
        config.dataset,
        attention_type=config.attention_type,
        group_encoding=config.group_encoding,
        positional_encoding=config.positional_encoding,
        backend=config.backend,
        **{keyword: config[name] for name, keyword in NETWORK_KEYS.items()},
    ).to(device)
    if config.backend != "auto":  # which asks only when it runs: before the first epoch, not in it
        image = torch.zeros(1, info.in_channels, info.image_size, info.image_size, device=device)
        try:
            with torch.no_grad():
                network.eval()(image)
        except ValueError as error:
            raise ConfigError(f"backend: {error}") from error
        network.train()
    return network


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
