"""The networks of the paper as data: one architecture for each data set, and the model names.

Keys are the arguments of `models.GroupTransformer`. How they are trained is not told here.
"""

from __future__ import annotations

from typing import Any

GROUP_OF_MODEL: dict[str, str | None] = {
    "z2sa": "z2",
    "mz2sa": "mz2",
    "p4sa": "p4",
    "p8sa": "p8",
    "p12sa": "p12",
    "p16sa": "p16",
    "p4msa": "p4m",
    "p8msa": "p8m",
    "z2cnn": None,
}
"""The group that each model is equivariant to; z2cnn is a convolutional network, not a GSA-Net."""

MODEL_NAMES = tuple(GROUP_OF_MODEL)

_COMMON: dict[str, Any] = {
    "norm_type": "LayerNorm",
    "activation_function": "Swish",
    "patch_size": 5,
    "attention_dropout_rate": 0.1,
    "value_dropout_rate": 0.1,
    "input_dropout_rate": 0.0,
    "dropout_rate_after_maxpooling": 0.0,
    "whitening_scale": 1.41421356,  # √2, to the digits of the released command lines
    "position_init_scale": 0.0,
    "normalize_between_layers": False,
    "maxpool_after_last_block": False,
    "expansion_per_block": 1,
}

_ROTMNIST = _COMMON | {
    "in_channels": 1,
    "num_classes": 10,
    "image_size": 28,
    "num_channels": 20,
    "num_heads": 9,
    "block_sizes": (2, 3),
    "crop_per_layer": (2, 0, 2, 1, 1),
}

PRESETS: dict[str, dict[str, Any]] = {
    # Ours, not the paper's: a network that trains in minutes on two CPU cores. The √2 of the paper,
    # followed by a sum over space, would start with logits of order 100.
    "rotDigits": _COMMON
    | {
        "in_channels": 1,
        "num_classes": 10,
        "image_size": 12,
        "num_channels": 16,
        "num_heads": 4,
        "block_sizes": (1, 2),
        "crop_per_layer": (2, 1, 0),
        "whitening_scale": 0.3,
        # In ten epochs, dropout only slows these networks down: they end with fewer images right.
        "attention_dropout_rate": 0.0,
        "value_dropout_rate": 0.0,
    },
    "rotMNIST": _ROTMNIST,
    "MNIST": _ROTMNIST,
    "CIFAR10": _COMMON
    | {
        "in_channels": 3,
        "num_classes": 10,
        "image_size": 32,
        "num_channels": 96,
        "num_heads": 9,
        "block_sizes": (2, 2, 2),
        "expansion_per_block": (1, 2, 1),
        "crop_per_layer": 0,
        "normalize_between_layers": True,
        "input_dropout_rate": 0.2,
        "dropout_rate_after_maxpooling": 0.3,
        "value_dropout_rate": 0.0,
    },
    "PCam": _COMMON
    | {
        "in_channels": 3,
        "num_classes": 2,
        "image_size": 96,
        "num_channels": 12,
        "num_heads": 9,
        "block_sizes": (0, 1, 2, 1),
        "expansion_per_block": (1, 2, 2, 2),
        "crop_per_layer": (0, 2, 1, 1),
        "normalize_between_layers": True,
        "maxpool_after_last_block": True,
    },
}


def canonical_name(name: str) -> str:
    """The spelling of a model name given in any case.

    Raises:
        ValueError: there is no such model; the message lists those that there are.
    """
    if name.lower() not in GROUP_OF_MODEL:
        raise ValueError(f"unknown model {name!r}; choose one of {', '.join(MODEL_NAMES)}")
    return name.lower()


def canonical_dataset(name: str) -> str:
    """The spelling of the name of a data set that there is a preset for, given in any case.

    Raises:
        ValueError: there is no preset for it; the message lists those that there are.
    """
    for preset in PRESETS:
        if preset.lower() == name.lower():
            return preset
    raise ValueError(f"no preset for data set {name!r}; choose one of {', '.join(PRESETS)}")
