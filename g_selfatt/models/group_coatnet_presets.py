"""The architectures of the CoAtNets on groups, by data set, and the keys that change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from g_selfatt.config_keys import Key, count
from g_selfatt.datasets import DatasetInfo
from g_selfatt.models.stages import sides_of

STAGE_ATTENTION = ("Off", "Local", "Global")

_ROTMNIST: dict[str, Any] = {
    "stem_channels": 24,
    "channels_per_stage": (32, 62),
    "blocks_per_stage": (2, 4),
    "kernel_size": 3,
}
_ROTDIGITS: dict[str, Any] = {
    "stem_channels": 8,
    "channels_per_stage": (10, 12),
    "blocks_per_stage": (1, 1),
    "transition_kernel_size": 3,
    "kernel_size": 3,
}
PRESETS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("rotDigits", "uprightDigits"), _ROTDIGITS),
    **dict.fromkeys(("rotMNIST", "MNIST", "uprightMNIST"), _ROTMNIST),
    "CIFAR10": {
        "stem_channels": 32,
        "stem_kernel_size": 3,
        "channels_per_stage": (64, 128),
        "blocks_per_stage": (3, 3),
        "kernel_size": 3,
    },
    "PCam": {
        "stem_channels": 12,
        "channels_per_stage": (16, 24, 32, 48),
        "blocks_per_stage": (1, 1, 2, 2),
        "kernel_size": 3,
    },
}
"""The convolutional networks, by data set."""
CHANNELS_WITH_ATTENTION: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("rotDigits", "uprightDigits"), (9, 11)),
    **dict.fromkeys(("rotMNIST", "MNIST", "uprightMNIST"), (32, 52)),
    "CIFAR10": (64, 116),
    "PCam": (16, 24, 32, 40),
}
"""Channels per stage of the networks with attention, so that both have as many parameters."""


def convolutional(info: DatasetInfo) -> Mapping[str, Any]:
    """The architecture for a data set, without attention.

    For other data sets than those of `PRESETS`, as many stages as bring the map below 12 pixels,
    each a half wider than the one before.
    """
    if info.name in PRESETS:
        arguments = PRESETS[info.name]
    else:
        stages = 1
        while min(sides_of(info.image_size)) >> stages >= 12:
            stages += 1
        arguments = {
            "stem_channels": 16,
            "channels_per_stage": tuple(int(24 * 1.5**stage) for stage in range(stages)),
            "blocks_per_stage": (1,) * (stages - 1) + (2,),
        }
    return arguments | {"attention_per_stage": ("Off",) * len(arguments["channels_per_stage"])}


def with_attention(info: DatasetInfo) -> Mapping[str, Any]:
    """The architecture for a data set, with local attention in the last stage."""
    arguments = convolutional(info)
    channels = arguments["channels_per_stage"]
    return {
        **arguments,
        "channels_per_stage": CHANNELS_WITH_ATTENTION.get(info.name, channels),
        "attention_per_stage": ("Off",) * (len(channels) - 1) + ("Local",),
    }


def _whole_numbers(least: int) -> dict[str, Any]:
    return {
        "expected": f"a whole number for each stage, at least {least}, such as (40,64)",
        "valid": lambda values: (
            values != () and all(type(value) is int and value >= least for value in values)
        ),
    }


_ODD: dict[str, Any] = {
    "expected": "odd and at least 1",
    "valid": lambda value: value >= 1 and value % 2 == 1,
}
KEYS = (
    count("stem_channels", None, "channels after the lifting convolution"),
    Key("stem_kernel_size", int, None, "side of the lifting convolution's filters", **_ODD),
    Key("channels_per_stage", tuple, None, 'as in "(40,64)"', **_whole_numbers(1)),
    Key("blocks_per_stage", tuple, None, 'as in "(3,3)"', **_whole_numbers(0)),
    Key(
        "attention_per_stage",
        tuple,
        None,
        "Off, Local or Global, as in \"('Off','Local')\"",
        expected="Off, Local or Global for each stage, such as ('Off','Local')",
        valid=lambda values: values != () and all(value in STAGE_ATTENTION for value in values),
    ),
    Key("transition_kernel_size", int, None, "side of the filters that change channels", **_ODD),
    Key("kernel_size", int, None, "side of the depthwise filters in pixels", **_ODD),
)
