"""A network's last layer: its number of classes, and what is known of it."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from torch import nn

from g_selfatt.models.weight_files import digest_of

# What `Weights.pretrained_config` says of a last layer that was trained with the rest.
OF_LAST_LAYER = ("name", "classes", "test_accuracy", "parameters")


def checked_classes(num_classes: int) -> int:
    """A number of classes, or 0 for a network that gives its features; ValueError for others."""
    if not isinstance(num_classes, Integral) or num_classes < 0:
        raise ValueError(
            f"num_classes must be a whole number, or 0 for features, got {num_classes!r}"
        )
    return int(num_classes)


def forget_classes(network: nn.Module) -> None:
    """Bring the records of a network up to a last layer that is new.

    Args:
        network: with ``num_classes`` of the new layer. Its ``network_record`` takes that number;
            its ``pretrained_config`` keeps how images are prepared and loses the weights' name,
            their accuracy, their number and the names of the classes.
    """
    own = vars(network)
    if record := own.get("network_record"):
        arguments = record["arguments"] | {"num_classes": network.num_classes}
        own["network_record"] = record | {"arguments": arguments}
    if known := own.get("pretrained_config"):
        kept = {key: known[key] for key in known if key not in OF_LAST_LAYER}
        own["pretrained_config"] = kept | {"num_classes": network.num_classes}


def known_of(network: nn.Module) -> dict[str, Any]:
    """The ``pretrained_config`` of a network, or an empty one.

    Where its weights are no longer those that were loaded, their name and accuracy are not there.
    """
    known = dict(getattr(network, "pretrained_config", {}))
    if getattr(network, "loaded_digest", None) not in (None, digest_of(network)):
        for key in ("name", "test_accuracy"):
            known.pop(key, None)
    return known
