"""From tensors to kernels: layouts, tiles and grids; forward and backward without autograd."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from g_selfatt.backends.triton.blocks import (
    LANES,
    PROGRAMS,
    SCORES_OF_GRADIENTS,
    part_of,
    power_of_two,
)
from g_selfatt.backends.triton.kernels_forward import forward_kernel, group_kernel
from g_selfatt.backends.triton.kernels_key import key_kernel
from g_selfatt.backends.triton.kernels_query import query_kernel
from g_selfatt.backends.triton.kernels_table import table_kernel

# One warp; the loops hold no product for which Triton could fetch ahead; a·b + c rounded once.
OPTIONS = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": True}


def image_like(query: Tensor, elements: int, dtype: torch.dtype) -> Tensor:
    """An empty tensor ``(B, heads, c, elements, H, W)``, heads and channels ordered as the query's.

    The output projection then views it without a copy.
    """
    batch, heads, channels, _, *size = query.shape
    if query.stride(1) < query.stride(2):
        shape = (batch, channels, heads, elements, *size)
        return query.new_empty(shape, dtype=dtype).transpose(1, 2)
    return query.new_empty((batch, heads, channels, elements, *size), dtype=dtype)


def flat(image: Tensor) -> Tensor:
    """``(B, heads, c, G, H, W)`` → ``(B, heads, c, G, H·W)``; a copy for cropped images only."""
    return image.flatten(4)


class Call:
    """The inputs of one call, as the kernels take them."""

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        table: Tensor,
        embedding: Tensor | None,
        index: Tensor | None,
        seed: Tensor | None,
        scale: float,
        dropout_rate: float,
    ) -> None:
        batch, self.heads, self.channels, self.elements, self.height, self.width = query.shape
        self.units, self.pixels = batch * self.heads, self.height * self.width
        self.tiles = -(-self.pixels // LANES)
        self.query, self.outputs = query, len(table)
        floats = (query, key, value, table, embedding)
        self.dtypes = [tensor.dtype for tensor in floats if tensor is not None]
        self.images = [flat(image) for image in (query, key, value)]
        self.window = (table.shape[2], table.shape[3])
        self.table = table.to(torch.float32).contiguous()
        self.scale, self.scale_2 = scale, scale * math.log2(math.e)
        self.grouped = embedding is not None
        none = self.table  # any valid pointer; never read
        self.embedding = none if embedding is None else embedding.to(torch.float32).contiguous()
        self.index = none if index is None else index.contiguous()
        self.rows, self.depth = self.embedding.shape[:2] if self.grouped else (1, 1)
        dropped = dropout_rate > 0 and seed is not None
        self.random = (
            seed if dropped else none,
            min(round(dropout_rate * 2**32), 2**32 - 1),
            1 / (1 - dropout_rate),
        )
        self.constants = {
            "C": self.channels,
            "D": table.shape[1],
            "K_H": self.window[0],
            "K_W": self.window[1],
            "GROUP": self.grouped,
            "DROPOUT": dropped,
            "BLOCK": LANES,
        }
        self.whole_image = self.window == (2 * self.height - 1, 2 * self.width - 1)
        self.group = self._group_scores()

    def _group_scores(self) -> Tensor:
        """``(units, g, rows of E, pixels)``, in float32."""
        if not self.grouped:
            return self.table
        shape = (self.units, self.elements, self.rows, self.pixels)
        group = self.query.new_empty(shape, dtype=torch.float32)
        group_kernel[(self.units * self.tiles * self.elements,)](
            *described(self.images[0]),
            self.embedding,
            group,
            *(self.heads, self.elements, self.rows, self.pixels, self.tiles),
            *(self.channels - self.depth, self.scale_2),
            E=self.depth,
            ROWS=power_of_two(self.rows),
            BLOCK=LANES,
            **OPTIONS,
        )
        return group

    def _tile(self, **axes: int) -> dict[str, Any]:
        return {**self.constants, "CHANNELS": power_of_two(self.channels), **axes, **OPTIONS}

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (self.heads, self.outputs, self.elements, self.height, self.width, self.tiles)

    @property
    def _group_arguments(self) -> tuple[Any, ...]:
        return (self.group, self.index, self.rows)

    def per_softmax(self) -> Tensor:
        """An empty tensor with one number for each softmax, ``(units, h, g, pixels)``."""
        shape = (self.units, self.outputs, self.elements, self.pixels)
        return self.query.new_empty(shape, dtype=torch.float32)

    def forward(self) -> tuple[Tensor, Tensor]:
        """The output and its log-sum-exps."""
        out = image_like(self.query, self.outputs, self.query.dtype)
        lse = self.per_softmax()
        forward_kernel[(self.units * self.tiles * self.outputs,)](
            *(part for image in self.images for part in described(image)),
            *described(flat(out)),
            self.table,
            *self._group_arguments,
            lse,
            *self.random,
            *(self.scale_2, self.channels, self.table.shape[1]),
            *self._sizes,
            WHOLE_IMAGE=self.whole_image,
            QUERIES=power_of_two(self.elements),
            KEYS=part_of(self.elements, self.elements),
            **self._tile(),
        )
        return out, lse

    def backward(self, d_out: Tensor, lse: Tensor, wanted: list[bool]) -> list[Tensor]:
        """The gradients of query, key, value, table and embedding; empty where not wanted.

        The query's kernel always runs, since the other kernels need D, which it computes. The
        gradients of key and value come from one kernel.
        """
        images = [*self.images, flat(d_out)]
        arguments = [part for image in images for part in described(image)]
        d_query, d_key, d_value = (
            image_like(self.query, self.elements, dtype) for dtype in self.dtypes[:3]
        )
        delta = self.per_softmax()
        parts = part_of(self.elements, self.outputs, SCORES_OF_GRADIENTS)
        d_embedding = self.query.new_empty(
            (self.units, self.tiles, self.elements, -(-self.elements // parts))
            + (tuple(self.embedding.shape) if self.grouped else (0,)),
            dtype=torch.float32,
        )
        options = (*self.random, self.scale_2, self.scale, self.channels, self.table.shape[1])
        query_kernel[(self.units * self.tiles * self.elements,)](
            *arguments,
            *described(flat(d_query)),
            self.table,
            self.embedding,
            *self._group_arguments,
            *(lse, delta, d_embedding),
            *options,
            *self._sizes,
            E=self.depth,
            EMBEDDED=power_of_two(self.depth),
            WHOLE_IMAGE=self.whole_image,
            OUTPUTS=power_of_two(self.outputs),
            KEYS=parts,
            **self._tile(),
        )
        if wanted[1] or wanted[2]:
            key_kernel[(self.units * self.tiles * self.elements,)](
                *arguments,
                *described(flat(d_key)),
                *described(flat(d_value)),
                self.table,
                *self._group_arguments,
                *(lse, delta),
                *options,
                *self._sizes,
                WHOLE_IMAGE=self.whole_image,
                OUTPUTS=part_of(self.outputs, self.elements, SCORES_OF_GRADIENTS),
                QUERIES=power_of_two(self.elements),
                **self._tile(),
            )
        d_table = self._table_gradient(arguments, lse, delta, options, wanted[3])
        gradients = [d_query, d_key, d_value, d_table, d_embedding.sum((0, 1, 2, 3))]
        return [
            gradient.to(dtype) if wants else gradient.new_empty(0, dtype=dtype)
            for gradient, wants, dtype in zip(gradients, wanted, self.dtypes, strict=False)
        ]

    def _table_gradient(
        self,
        arguments: list[Any],
        lse: Tensor,
        delta: Tensor,
        options: tuple[Any, ...],
        wanted: bool,
    ) -> Tensor:
        depth, offsets = self.table.shape[1], self.window[0] * self.window[1]
        if not wanted or depth == 0:
            return torch.zeros_like(self.table)
        programs = self.outputs * offsets
        splits = min(-(-PROGRAMS // programs), self.units * self.tiles)
        d_table = self.table.new_empty(splits, *self.table.shape)
        tile = self._tile()
        del tile["CHANNELS"]
        table_kernel[(programs * splits,)](
            *arguments,
            *(self.table, d_table),
            *self._group_arguments,
            *(lse, delta),
            *options,
            *(self.units, *self._sizes[:5], splits),
            DEPTH=power_of_two(depth),
            QUERIES=power_of_two(self.elements),
            KEYS=part_of(self.elements, self.elements),
            **tile,
        )
        return d_table.sum(0)


def described(image: Tensor) -> tuple[Any, ...]:
    """A tensor and its strides, as the kernels' signatures have them."""
    return image, *image.stride()
