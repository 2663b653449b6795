"""The network that a configuration describes."""

import torch
from ml_collections import ConfigDict
from torch import nn

import models
from datasets import DatasetInfo
from training.errors import ConfigError
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
