"""The same attention through PyTorch's FlexAttention, as far as it can express it: to compare with.

A score modification adds what depends on positions and on the group. Both are read from tensors of
q·P[h,δ] and q·E[t] that are computed before, |H|²·k² numbers a pixel, since FlexAttention knows no
product of its own with a key that depends on h. It has no dropout, and so is timed without.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from g_selfatt.backends import BACKENDS, AttentionInputs, Backend

NAME = "flex"
LEAST_CHANNELS = 16  # of what FlexAttention compiles on CUDA


def register() -> None:
    """Make it a backend of this process, which layers can name."""
    BACKENDS[NAME] = Backend(NAME, attend, is_worth_it=lambda inputs: False)


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, without dropout."""
    query, table = inputs.query, inputs.positional_table
    batch, heads, channels, elements, height, width = query.shape
    pixels, outputs = height * width, len(table)
    window = (table.shape[2], table.shape[3])
    q, k, v = (
        # (B·heads, 1, G·H·W, c), the channels filled up with zeros
        F.pad(t.flatten(0, 1).flatten(2).mT, (0, _missing(channels)))[:, None]
        for t in (query * inputs.scale, inputs.key, inputs.value)
    )
    by_position = torch.einsum(
        "blc,hco->bhlo", q[:, 0, :, : table.shape[1]], table.flatten(2).to(q)
    )
    by_group = q.new_zeros(1, 1, 1, 1).expand(len(q), outputs, elements * pixels, elements)
    if inputs.group_embedding is not None and inputs.group_index is not None:
        embedding = inputs.group_embedding[inputs.group_index]  # (h, g, m, e)
        rows = q[:, 0, :, channels - embedding.shape[-1] : channels].unflatten(1, (elements, -1))
        by_group = torch.einsum("bgpe,hgme->bhgpm", rows, embedding.to(q)).flatten(2, 3)

    def add(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        row, column = _offset(i % pixels, j % pixels, width, window)
        seen = _inside(row, column, window)
        place = torch.where(seen, row * window[1] + column, 0)
        return score + by_position[b, h, i, place] + by_group[b, h, i, j // pixels]

    mixed = _attention(query.device.type)(
        q.expand(-1, outputs, -1, -1),
        k.expand(-1, outputs, -1, -1),
        v.expand(-1, outputs, -1, -1),
        score_mod=add,
        block_mask=_mask(elements, height, width, window, query.device),
        scale=1.0,
    )
    summed = mixed[..., :channels].unflatten(2, (elements, pixels)).sum(2)  # over g
    return summed.permute(0, 3, 1, 2).reshape(batch, heads, channels, outputs, height, width)


def _missing(channels: int) -> int:
    """Up to a power of two that FlexAttention takes."""
    return max(LEAST_CHANNELS, 1 << (channels - 1).bit_length()) - channels


def _offset(i: Tensor, j: Tensor, width: int, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Row and column in the table of the offset from pixel i to pixel j."""
    row = j // width - i // width + window[0] // 2
    return row, j % width - i % width + window[1] // 2


def _inside(row: Tensor, column: Tensor, window: tuple[int, int]) -> Tensor:
    return (row >= 0) & (row < window[0]) & (column >= 0) & (column < window[1])


@functools.cache
def _mask(
    elements: int, height: int, width: int, window: tuple[int, int], device: torch.device
) -> object:
    """Which blocks of queries and keys meet at all."""
    pixels = height * width

    def meet(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return _inside(*_offset(i % pixels, j % pixels, width, window), window)

    length = elements * pixels
    return create_block_mask(meet, None, None, length, length, device=str(device))


@functools.cache
def _attention(device: str) -> Callable[..., Tensor]:
    """Fused on CUDA; on the CPU, where the fused one has no backward, written out."""
    return torch.compile(flex_attention) if device == "cuda" else flex_attention  # type: ignore[return-value]
