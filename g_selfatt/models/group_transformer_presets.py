"""The architectures of the GSA-Nets, by data set, and the key that only they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from g_selfatt.config_keys import not_negative
from g_selfatt.datasets import DatasetInfo
from g_selfatt.models.stages import sides_of

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
    "locality_init": 0.0,
    "normalize_between_layers": False,
    "maxpool_after_last_block": False,
    "expansion_per_block": 1,
}
_ROTMNIST = _COMMON | {
    "num_channels": 20,
    "num_heads": 9,
    "block_sizes": (2, 3),
    "crop_per_layer": (2, 0, 2, 1, 1),
}
# Ours, not the paper's: a network that trains in minutes on two CPU cores. The √2 of the paper,
# followed by a sum over space, would start with logits of order 100.
_ROTDIGITS = _COMMON | {
    "num_channels": 16,
    "num_heads": 4,
    "block_sizes": (1, 2),
    "crop_per_layer": (2, 1, 0),
    "whitening_scale": 0.3,
    "norm_type": "BatchNorm",
    "position_init_scale": 10.0,
    "locality_init": 1.0,
    # In ten epochs, dropout only slows these networks down: they end with fewer images right.
    "attention_dropout_rate": 0.0,
    "value_dropout_rate": 0.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("rotDigits", "uprightDigits"), _ROTDIGITS),
    **dict.fromkeys(("rotMNIST", "MNIST", "uprightMNIST"), _ROTMNIST),
    "CIFAR10": _COMMON
    | {
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
        "num_channels": 12,
        "num_heads": 9,
        "block_sizes": (0, 1, 2, 1),
        "expansion_per_block": (1, 2, 2, 2),
        "crop_per_layer": (0, 2, 1, 1),
        "normalize_between_layers": True,
        "maxpool_after_last_block": True,
    },
}


def preset(info: DatasetInfo) -> Mapping[str, Any]:
    """The architecture for a data set: the paper's, or one that follows the size of the images.

    For other data sets than those of `PRESETS`, blocks of one layer, as many as pooling needs to
    bring the map below 12 pixels, and wider behind every second pooling.
    """
    if info.name in PRESETS:
        return PRESETS[info.name]
    poolings = 1
    while min(sides_of(info.image_size)) >> poolings >= 12:
        poolings += 1
    return PRESETS["rotDigits"] | {
        "block_sizes": (*[1] * poolings, 2),
        "expansion_per_block": tuple(2 if i and i % 2 == 0 else 1 for i in range(poolings + 1)),
        "crop_per_layer": 0,
        "normalize_between_layers": True,
    }


KEYS = (
    not_negative(
        "locality_init",
        None,
        "initial heads: 0: all alike, as in the paper; above 0: each a Gaussian around an offset "
        "of its own, of this inverse variance in pixels^-2",
        before=0.0,
    ),
)
