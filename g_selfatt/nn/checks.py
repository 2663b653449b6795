"""What the layers have in common in refusing what they are given."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor, nn

from g_selfatt.groups import Group


def whole_numbers(**counts: int) -> list[int]:
    """The arguments as Python's integers, which compilers and JSON take; NumPy's are converted.

    Raises:
        ValueError: one is no whole number of at least 1; the message has its name.
    """
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")
    return [int(count) for count in counts.values()]


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
