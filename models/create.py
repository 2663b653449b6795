"""Networks by the names that the paper gives them, with random or with trained weights."""

from __future__ import annotations

from typing import Any

from torch import nn

import datasets
from datasets import DatasetInfo
from models.registry import model_entry
from models.weight_files import load_weights
from models.weights import Weights, find_pretrained, network_record


def create_model(
    name: str,
    dataset: str | DatasetInfo = "rotMNIST",
    *,
    pretrained: bool = False,
    **overrides: Any,
) -> nn.Module:
    """A network by its name, e.g. ``create_model("p4sa", dataset="rotMNIST")``.

    Args:
        name: one of `list_models`, in any case; with ``pretrained`` also the full name of weights
            that are shipped, as `list_pretrained` has them.
        dataset: whose images it is for: a name in any case, or a record.
        pretrained: load the weights that are shipped for this network; its ``pretrained_config``
            then says what they are and how their images are prepared.
        overrides: arguments of the network in place of the data set's, such as
            ``attention_type="Global"``, ``patch_size=7``.

    Returns:
        The network, in training mode. Input ``(B, C, H, W)``, output logits ``(B, classes)``.

    Raises:
        ValueError: an unknown name, or arguments that do not fit together.
        FileNotFoundError: pretrained, and no such weights are shipped; the message lists those that
            are.
    """
    if pretrained:
        weights = find_pretrained(name, dataset, overrides)[0]
        return load_model(weights, **overrides)
    entry = model_entry(name)
    info = datasets.INFO[datasets.canonical_name(dataset)] if isinstance(dataset, str) else dataset
    for keyword in overrides:
        if not entry.takes(keyword):
            known = ", ".join(sorted(entry.arguments_for(info)))
            raise ValueError(f"{entry.name} has no argument {keyword!r}; it has {known}")
    arguments = entry.arguments_for(info) | overrides
    model = entry.build(**arguments)
    vars(model)["network_record"] = network_record(entry.name, info, arguments)
    return model


def load_model(source: str | Weights, **overrides: Any) -> nn.Module:
    """The network of trained weights, with these weights.

    Args:
        source: a run folder, its weights file, or an element of `list_weights`.
        overrides: arguments in place of those that it was trained with, where its weights fit them:
            dropout rates, the backend.

    Returns:
        The network, in training mode; its ``pretrained_config`` says what the weights are and how
        their images are prepared.

    Raises:
        FileNotFoundError: there are no weights.
        CheckpointError: they are damaged, or not written by training.
        ValueError: their network is not registered.
    """
    weights = source if isinstance(source, Weights) else Weights.read(source)
    model = model_entry(weights.model).build(**(weights.arguments | overrides))
    load_weights(weights.path, model)
    vars(model)["network_record"] = weights.network | {"arguments": weights.arguments | overrides}
    vars(model)["pretrained_config"] = weights.pretrained_config
    return model
