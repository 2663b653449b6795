"""Training that starts from trained weights of the same architecture, on any data set."""

import logging
from pathlib import Path

from ml_collections import ConfigDict
from torch import nn

from config import KEYS
from g_selfatt import models
from g_selfatt.datasets.errors import one_line
from g_selfatt.models.weights import FREE_ARGUMENTS
from training import pretrained
from training.errors import ConfigError, WeightsError
from training.keys_taken import network_keys, own_keys
from training.run_folder import NOT_IDENTITY

logger = logging.getLogger(__name__)
FREEZE = ("none", "backbone")


def of_weights(config: ConfigDict) -> ConfigDict:
    """Complete a configuration by the network of its `weights`.

    Args:
        config: not yet resolved. Of the keys of the network, those that only change how it is
            trained are the weights' where they are not given; the others must be the weights'.

    Returns:
        A copy, in which `weights` is a folder.

    Raises:
        WeightsError: there are no such weights.
        ConfigError: a network that is not registered, or a key that is not as the weights have it.
    """
    try:
        weights = pretrained.named(config.weights)
    except WeightsError as error:
        raise WeightsError(f"weights: {error}") from error
    try:
        name = models.model_entry(weights.model).name
    except ValueError as error:
        raise ConfigError(f"weights: {weights.name}: {error}") from error
    arguments = weights.arguments
    keys = {key.name: key for key in network_keys({"model": name}) if key.name not in NOT_IDENTITY}
    values = {"model": name}
    for key in keys.values():
        value = arguments[key.keyword]
        values[key.name] = tuple(value) if key.type is tuple else value  # a list in JSON
    free = {key.name for key in keys.values() if key.keyword in FREE_ARGUMENTS}
    fixed = {name: value for name, value in values.items() if name not in free}
    pretrained.refuse_contradiction(config, {**KEYS, **keys}, fixed, weights.name)
    given = {name: config[name] for name in free if config.get(name) is not None}
    folder = str(weights.path.resolve().parent)
    completed = {**config, **values, **given, "weights": folder}
    before, after = own_keys(config), own_keys(completed)
    for name in before.keys() - after.keys():  # of the network that nobody asked for
        if completed.get(name) == before[name].default:
            completed.pop(name, None)
    return ConfigDict(completed)


def start(path: Path, model: nn.Module) -> None:
    """Give a network the numbers of trained weights; the last layer stays where classes differ.

    Args:
        path: the weights file.
        model: a network of their architecture, for the classes of any data set.

    Raises:
        WeightsError: they are damaged.
        ConfigError: the network does not tell its last layer.
    """
    weights = models.Weights.read(path)
    try:
        tensors = models.load_model(weights).state_dict()
    except ValueError as error:
        raise WeightsError(one_line(error)) from error
    logger.info("starting from %s", weights)
    there, here = weights.network["data"], vars(model)["network_record"]["data"]
    if _classes(there) != _classes(here):
        last = _classifier(model)
        (name,) = (name for name, module in model.named_modules() if module is last)
        tensors |= {f"{name}.{key}": value for key, value in last.state_dict().items()}
        logger.info(
            "the last layer is new: %d classes of %s in place of %d of %s",
            *(here["num_classes"], here["name"], there["num_classes"], there["name"]),
        )
    model.load_state_dict(tensors)


def freeze_backbone(model: nn.Module) -> nn.Module:
    """Let only the last layer of a network be trained.

    Args:
        model: with ``get_classifier()``.

    Returns:
        The last layer.

    Raises:
        ConfigError: the network does not tell its last layer.
    """
    last = _classifier(model)
    model.requires_grad_(False)
    last.requires_grad_(True)
    trained = sum(parameter.numel() for parameter in last.parameters())
    logger.info("freeze=backbone: only the last layer is trained, %s parameters", f"{trained:,}")
    return last


def _classifier(model: nn.Module) -> nn.Module:
    if not hasattr(model, "get_classifier"):
        raise ConfigError(
            f"weights: {type(model).__name__} has no get_classifier(), which returns the last "
            "layer: it is needed for other classes, and to freeze the others"
        )
    return model.get_classifier()


def _classes(data: dict) -> tuple[int, tuple[str, ...]]:
    count = data["num_classes"]
    return count, tuple(data["classes"]) or tuple(map(str, range(count)))
