"""Attention that starts as a convolution: every head looks at an offset of its own.

A head's score of the offset δ is ⟨q, ROW(row h·δ)⟩ + ⟨q, COL(col h·δ)⟩ + …, over √C. Let the first
two outputs of ROW and of COL be the square of the coordinate and the coordinate, in pixels, and let
the bias of the query be √C·λ·(−½, Δ) there. Then the score is

    −λ/2 · |h·δ − Δ|² + a constant,

a Gaussian around the offset Δ of the head, turned by h as the filter of a group convolution is. The
keys, which are random, blur it, the more the larger the initial weights are. A
head with a single channel for each coordinate has only the term λ·⟨h·δ, Δ⟩, which grows towards Δ.
These are only initial values of parameters that the layer has: nothing is added, everything is
learned, and the layer is equivariant as before. That attention can express convolution in this way
was shown by Cordonnier et al. (2020, "On the Relationship between Self-Attention and Convolutional
Layers", Theorem 1); d'Ascoli et al. (2021, "ConViT") start transformers so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from g_selfatt.functional import acted_offsets
from g_selfatt.nn.positional_encoding import PositionMLP
from g_selfatt.nn.self_attention import SelfAttention


def head_offsets(num_heads: int) -> Tensor:
    """The offsets Δ (row, column) in pixels, ``(num_heads, 2)``: a grid over −1 … 1.

    9 heads are a filter of 3×3, 4 heads its corners. Where the number is no square, the offsets
    farthest from the query are left out.
    """
    side = math.isqrt(num_heads - 1) + 1
    ends = (-1, 1) if side > 1 else (0, 0)
    axis = torch.linspace(*ends, side, dtype=torch.float64, device="cpu")
    grid = torch.cartesian_prod(axis, axis)
    nearest = grid.square().sum(1).argsort(stable=True)[:num_heads]
    return grid[nearest.sort().values]


@torch.no_grad()
def localize_heads(layer: SelfAttention, strength: float) -> None:
    """Start the heads of an attention layer as Gaussians around `head_offsets`, in place.

    Position MLPs must have been spread (`PositionMLP.spread`): with zero biases they see only the
    sign of a coordinate.

    Args:
        layer: any of the four attention layers.
        strength: λ, the inverse variance of the Gaussians in pixels⁻².
    """
    channels = layer.channels_per_coordinate
    reach = layer.neighbourhood.reach
    window = (2 * reach + 1, 2 * reach + 1)
    acted = acted_offsets(layer.group, window, 1, torch.float64, torch.device("cpu"))
    scale = strength * layer.in_channels**0.5
    bias = layer.query.get_parameter("bias").view(layer.mid_channels, layer.num_heads)
    for axis, embedding in enumerate((layer.row_embedding, layer.col_embedding)):
        pixels = acted[:, axis].unique()  # −reach … reach, and what lies between under p8
        offsets = head_offsets(layer.num_heads)[:, axis]
        terms = ((pixels.square(), torch.full_like(offsets, -0.5)), (pixels, offsets))[-channels:]
        targets = torch.stack([values for values, _ in terms], dim=1)
        if isinstance(embedding, PositionMLP):
            embedding.fit(pixels / max(reach, 1), targets)
        else:
            embedding.get_parameter("weight")[:, : len(terms)].copy_(targets)
        for term, (_, coefficients) in enumerate(terms):
            bias[axis * channels + term].copy_(scale * coefficients)
