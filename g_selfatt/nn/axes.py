"""The axes of what a layer takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from g_selfatt.groups import Group


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
    if x.dim() != len(axes) + 3 or x.shape[1:-2] != torch.Size(axes):
        raise ValueError(
            f"{type(layer).__name__} on {group.name} takes "
            f"(B, {', '.join(map(str, axes))}, H, W), got {tuple(x.shape)}"
        )
