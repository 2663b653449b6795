"""What the layers have in common in refusing what they are given."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from g_selfatt.groups import Group


def whole_numbers(least: int = 1, /, **counts: int) -> list[int]:
    """The arguments as Python's integers, which compilers and JSON take; NumPy's are converted.

    Raises:
        ValueError: one is no whole number of at least ``least``; the message has its name.
    """
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool) or count < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {count!r}")
    return [int(count) for count in counts.values()]


def check_rates(**rates: float) -> None:
    """Refuse rates of dropout outside of [0, 1).

    Raises:
        ValueError: one is out of range, or no number; the message has its name.
    """
    for name, rate in rates.items():
        if not isinstance(rate, Real) or not 0.0 <= rate < 1.0:
            raise ValueError(f"{name} must be in [0, 1), got {rate!r}")


def check_choice(kind: str, name: object, choices: Collection[str]) -> None:
    """Refuse a name that is none of the choices.

    Args:
        kind: what is chosen, for the message.
        name: what was given.
        choices: the names that there are.

    Raises:
        ValueError: another name; the message lists the choices.
    """
    if name not in tuple(choices):
        raise ValueError(f"unknown {kind} {name!r}; choose one of {', '.join(choices)}")


def check_axes(layer: nn.Module, group: Group, x: Tensor, *axes: int) -> None:
    """Refuse inputs other than ``(B, *axes, H, W)``.

    Args:
        layer: the layer that takes x, for the message.
        group: its group, for the message.
        x: the input.
        axes: sizes between the batch and the image: the channels and, on a group, |H|.

    Raises:
        ValueError: x has other axes; the message says which it must have.
    """
    fits = x.dim() == len(axes) + 3 and x.shape[1:-2] == torch.Size(axes)
    if not fits or 0 in x.shape[-2:]:
        raise ValueError(
            f"{type(layer).__name__} on {group.name} takes "
            f"(B, {', '.join(map(str, axes))}, H, W), got {tuple(x.shape)}"
        )
