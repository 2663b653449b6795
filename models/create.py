"""Networks by the names that the paper gives them."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.checkpoints import load_weights
from models.cnn import CNN
from models.group_transformer import GroupTransformer
from models.presets import GROUP_OF_MODEL, PRESETS, canonical_dataset, canonical_name
from models.shipped import find_shipped

ATTENTION_TYPES = ("Local", "Global")


def create_model(
    name: str,
    dataset: str = "rotMNIST",
    *,
    attention_type: str = "Local",
    patch_size: int | None = None,
    pretrained: bool = False,
    **overrides: Any,
) -> nn.Module:
    """A network of the paper, e.g. ``create_model("p4sa", dataset="rotMNIST")``.

    Args:
        name: z2sa, mz2sa, p4sa, p8sa, p12sa, p16sa, p4msa, p8msa or z2cnn, in any case.
        dataset: whose architecture (`models.presets.PRESETS`), in any case.
        attention_type: ``"Local"`` or ``"Global"``.
        patch_size: side of the window in pixels, odd; None for the preset's.
        pretrained: load the weights that lie in saved/ for this network.
        overrides: arguments of `GroupTransformer` in place of the preset's.

    Returns:
        The network, in training mode. Input ``(B, C, H, W)``, output logits ``(B, classes)``.

    Raises:
        ValueError: an unknown name, or arguments that do not fit together.
        FileNotFoundError: pretrained, and there are no such weights.
    """
    name, dataset = canonical_name(name), canonical_dataset(dataset)
    if attention_type not in ATTENTION_TYPES:
        raise ValueError(
            f"unknown attention_type {attention_type!r}; choose one of {', '.join(ATTENTION_TYPES)}"
        )
    group = GROUP_OF_MODEL[name]
    arguments: dict[str, Any] = {}
    if group is None:
        model = _create_cnn(dataset, overrides)
    else:
        arguments = PRESETS[dataset] | overrides
        if patch_size is not None:
            arguments["patch_size"] = patch_size
        if attention_type == "Global":
            arguments["patch_size"] = None
        model = GroupTransformer(group=group, **arguments)
    if pretrained:
        load_weights(find_shipped(name, dataset, arguments), model)
    return model


def _create_cnn(dataset: str, overrides: dict[str, Any]) -> nn.Module:
    preset = PRESETS[dataset]
    if (preset["in_channels"], preset["image_size"]) != (1, 28):
        raise ValueError(f"z2cnn is made for 28×28 grey images (rotMNIST, MNIST), not {dataset}")
    return CNN(num_classes=preset["num_classes"], **overrides)
