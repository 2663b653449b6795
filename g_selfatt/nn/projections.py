"""Query, key and value by one matrix product, and their gradients back by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from g_selfatt.functional.tracing import is_traced, is_transformed
from g_selfatt.nn.elementary import LARGEST_PRODUCT, Conv2d1x1, Conv3d1x1
from g_selfatt.nn.positional_encoding import called_plainly

LARGEST_TOGETHER = 2**23  # bytes of all outputs; larger ones leave the cache, and take no less time
LARGEST_COPIED = 2**15  # numbers of a weight; larger ones are copied for large maps only


def are_plain(projections: Sequence[nn.Module]) -> bool:
    """Whether 1×1 convolutions are those of `Conv1x1`, with nothing around them.

    Hooks, and what else may be in place of a projection, are to see what they are made for.
    """
    return all(
        type(project) in (Conv2d1x1, Conv3d1x1) and called_plainly(project)
        for project in projections
    )


def project(projections: Sequence[Any], x: Tensor) -> tuple[Tensor, ...]:
    """What the 1×1 convolutions make of x, each ``(B, out_channels, …)``.

    On a CPU by matrix products, with the bias as the weight of one more channel, of ones: to copy
    it to every output first takes half as long as the product itself. Those of small maps are one
    product, since a call takes as long. The weight of the additional channel needs a copy of the
    others, which large weights beside small maps are not worth.

    Args:
        projections: `Conv1x1` with biases, all of one shape, or modules in their place.
        x: map ``(B, in_channels, …)``.
    """
    plain = x.is_cpu and not is_traced(x) and not is_transformed(x) and are_plain(projections)
    if (
        not plain
        or projections[0].weight.numel() > LARGEST_PRODUCT
        or projections[0].weight.numel() > max(LARGEST_COPIED, x.numel() // 2)
        or x.shape[1:2] != projections[0].weight.shape[1:2]
    ):
        return tuple(project(x) for project in projections)
    pixels = x.flatten(2)
    pixels = torch.cat((pixels, pixels.new_ones(()).expand_as(pixels[:, :1])), dim=1)
    together_bytes = len(projections) * len(projections[0].weight) * x[:, :1].numel() * x.itemsize
    if together_bytes > LARGEST_TOGETHER:
        parts = [_product([project], pixels) for project in projections]
    else:
        parts = list(_Parts.apply(_product(projections, pixels), len(projections)))
    return tuple(part.unflatten(2, x.shape[2:]) for part in parts)


def _product(projections: Sequence[Any], pixels: Tensor) -> Tensor:
    """The convolutions' outputs, side by side, of pixels with a last channel of ones."""
    weight = torch.cat([project.weight.flatten(1) for project in projections])
    bias = torch.cat([project.bias for project in projections])
    together = torch.cat((weight, bias[:, None]), dim=1)
    return torch.bmm(together.expand(len(pixels), -1, -1), pixels)


class _Parts(torch.autograd.Function):
    """`torch.chunk` along the channels, whose backward copies no gradients that lie side by side.

    Those of the compiled attention do.
    """

    @staticmethod
    def forward(ctx: Any, together: Tensor, count: int) -> tuple[Tensor, ...]:
        """``(B, count·C, pixels)`` → ``(B, C, pixels)``, views, as many as count."""
        return together.chunk(count, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradients ``(B, C, pixels)`` → one ``(B, count·C, pixels)``."""
        first = gradients[0]
        batch, channels, pixels = first.shape
        together = (batch, len(gradients) * channels, pixels)
        strides = (together[1] * pixels, pixels, 1)
        told = 1 if batch == 1 else 0  # the stride of a single sample is any
        # A graph of the gradients would be that of the first alone.
        side_by_side = not torch.is_grad_enabled() and all(
            part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
            and part.storage_offset() == first.storage_offset() + n * channels * pixels
            and part.stride()[told:] == strides[told:]
            for n, part in enumerate(gradients)
        )
        if side_by_side:
            return first.as_strided(together, strides), None
        return torch.cat(gradients, dim=1), None
