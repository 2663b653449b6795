"""Pooling that halves the sides of a map and commutes with quarter turns and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaxPool(nn.Module):
    """The maximum over neighbouring pixels, at every second pixel.

    Even sides are pooled by 2 pixels, odd ones by 3 with their centres on pixels 0, 2, … H − 1.
    Both lie symmetrically, so pooling is exactly equivariant for every size of the image.

    Shape: ``(B, C, …, H, W)`` → ``(B, C, …, ⌈H/2⌉, ⌈W/2⌉)``, on the plane or on a group.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _pool(x, F.max_pool2d)


class AvgPool(nn.Module):
    """The mean over neighbouring pixels, at every second pixel; otherwise as `MaxPool`."""

    def forward(self, x: Tensor) -> Tensor:
        return _pool(x, partial(F.avg_pool2d, count_include_pad=False))


def _pool(x: Tensor, pool: Callable[..., Tensor]) -> Tensor:
    """Pool over merged channel axes: max_pool3d is several times slower on a CPU."""
    odd_height, odd_width = (side % 2 for side in x.shape[-2:])
    # In this layout a CPU pools about twice as fast, the copies included.
    layout = torch.channels_last if x.is_cpu else torch.contiguous_format
    pooled = pool(
        x.flatten(1, -3).contiguous(memory_format=layout),
        kernel_size=(2 + odd_height, 2 + odd_width),
        stride=2,
        padding=(odd_height, odd_width),
    )
    return pooled.contiguous().unflatten(1, x.shape[1:-2])
