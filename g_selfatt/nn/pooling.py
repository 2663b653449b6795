"""Pooling that halves the sides of a map and commutes with quarter turns and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    odd_height, odd_width = (side % 2 for side in x.shape[-2:])
    pooled = pool(
        x.flatten(1, -3),
        kernel_size=(2 + odd_height, 2 + odd_width),
        stride=2,
        padding=(odd_height, odd_width),
    )
    return pooled.unflatten(1, x.shape[1:-2])
