"""Networks by the names that the paper gives them, with random or with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from g_selfatt import datasets
from g_selfatt.datasets import DatasetInfo
from g_selfatt.models.registry import ModelEntry, model_entry
from g_selfatt.models.weight_files import load_weights
from g_selfatt.models.weights import (
    Weights,
    as_json,
    computing,
    find_pretrained,
    list_pretrained,
    network_record,
)

DEFAULT_DATASET = "rotMNIST"
FACTS = ("image_size", "in_channels", "num_classes")


def create_model(
    name: str,
    dataset: str | DatasetInfo | None = DEFAULT_DATASET,
    *,
    pretrained: bool = False,
    **overrides: Any,
) -> nn.Module:
    """A network by its name, e.g. ``create_model("p4sa", dataset="rotMNIST")``.

    Args:
        name: one of `list_models`, in any case; with ``pretrained`` also the full name of weights
            that are shipped, as `list_pretrained` has them.
        dataset: whose images it is for: a name in any case, or a record; None for images that
            ``image_size``, ``in_channels`` and ``num_classes`` describe. Left out where the name is
            that of weights.
        pretrained: load the weights that are shipped for this network; its ``pretrained_config``
            then says what they are and how their images are prepared. With another ``num_classes``
            than theirs the last layer is new, and their accuracy and classes are not there.
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
        num_classes = overrides.pop("num_classes", None)
        weights = find_pretrained(name, dataset, overrides)[0]
        if name == weights.name:
            _check_unsaid(dataset, weights)
        model: Any = load_model(weights, **overrides)
        if num_classes not in (None, model.num_classes):
            model.reset_classifier(num_classes)
        return model
    try:
        entry = model_entry(name)
    except ValueError:
        if _is_shipped(name):
            raise ValueError(f"{name} are trained weights: give pretrained=True") from None
        raise
    info = _record(dataset, overrides)
    if dataset is None:  # the record has them too, for networks that do not take all
        overrides = {key: v for key, v in overrides.items() if entry.takes(key) or key not in FACTS}
    arguments = entry.arguments_for(info)
    _check_taken(entry, overrides, arguments)
    arguments |= overrides
    model = entry.build(**arguments)
    vars(model)["network_record"] = network_record(entry.name, info, arguments)
    return model


def _check_taken(
    entry: ModelEntry, overrides: Mapping[str, Any], arguments: Mapping[str, Any]
) -> None:
    for keyword in overrides:
        if not entry.takes(keyword):
            known = ", ".join(sorted(arguments))
            raise ValueError(f"{entry.name} has no argument {keyword!r}; it has {known}")


def _is_shipped(name: str) -> bool:
    return any(weights.name == name for weights in list_pretrained())


def _check_unsaid(dataset: str | DatasetInfo | None, weights: Weights) -> None:
    """ValueError where a data set is given that is neither the default nor that of the weights."""
    given = (
        datasets.canonical_name(dataset) if isinstance(dataset, str) else dataset and dataset.name
    )
    if given not in (None, DEFAULT_DATASET, weights.dataset):
        raise ValueError(
            f"{weights.name} was trained on {weights.dataset}, got dataset={given!r}: leave it "
            "out, and give num_classes for other classes"
        )


def _record(dataset: str | DatasetInfo | None, overrides: Mapping[str, Any]) -> DatasetInfo:
    if isinstance(dataset, str):
        dataset = datasets.INFO[datasets.canonical_name(dataset)]
    name = dataset.name if dataset else None
    facts: dict[str, Any] = {
        fact: overrides.get(fact, getattr(dataset, fact, 0) or None)  # 0: the reader tells
        for fact in FACTS
    }
    if missing := [fact for fact, value in facts.items() if value is None]:
        raise ValueError(f"dataset={name} needs {', '.join(missing)} too")
    if dataset:
        return replace(dataset, **{fact: facts[fact] for fact in FACTS if fact in dataset.unknown})
    return DatasetInfo("none", read=_nothing_to_read, provenance="the caller's images", **facts)


def _nothing_to_read(*_: Any, **__: Any) -> Any:
    raise ValueError("images that only their size describes are not read from anywhere")


def load_model(source: str | Weights, **overrides: Any) -> nn.Module:
    """The network of trained weights, with these weights.

    Args:
        source: a run folder, its weights file, or an element of `list_weights`.
        overrides: arguments in place of those that it was trained with, where its weights fit them:
            dropout rates, the backend.

    Returns:
        The network, in training mode; its ``pretrained_config`` says what the weights are and how
        their images are prepared, without the accuracy where an override changes what is computed.

    Raises:
        FileNotFoundError: there are no weights.
        CheckpointError: they are damaged, or not written by training.
        ValueError: their network is not registered, or has no such argument.
    """
    if isinstance(source, str) and _is_shipped(source) and not Path(source).exists():
        raise FileNotFoundError(
            f"no weights at {source}; for those that are shipped, "
            f"create_model({source!r}, pretrained=True)"
        )
    weights = source if isinstance(source, Weights) else Weights.read(source)
    try:
        entry = model_entry(weights.model)
    except ValueError:
        raise ValueError(
            f"{weights.name} is of the network {weights.model}, which is not registered: import "
            "the file that registers it (python -m training.predict has --import FILE)"
        ) from None
    arguments = weights.arguments | overrides
    if entry.takes("backend"):  # that of the machine that trained need not run here
        arguments["backend"] = overrides.get("backend", "auto")
    _check_taken(entry, overrides, weights.arguments)
    model = entry.build(**arguments)
    load_weights(weights.path, model)
    known = weights.pretrained_config
    as_kept = as_json(arguments)  # where a tuple is a list
    if computing(as_kept) != computing(weights.arguments):
        del known["test_accuracy"]
    vars(model)["network_record"] = weights.network | {"arguments": arguments}
    vars(model)["pretrained_config"] = known
    return model
