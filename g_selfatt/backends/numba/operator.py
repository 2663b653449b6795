"""The compiled attention as one differentiable function that saves its inputs and no score.

Beside them it keeps what it has made of the tables, once for a batch: 8 KB for a window of 5×5,
0.3 MB for global attention on 28×28 pixels with p4.

A `torch.autograd.Function`, because a `torch.library.custom_op` costs twice as much for each call
(measured 90 and 42 µs for forward and backward of an empty operator). `graph_operator` is one, for
torch.compile; exporters are given the plain path, which they can see through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from g_selfatt.backends.numba.blocks import Problem
from g_selfatt.backends.numba.geometry import plan
from g_selfatt.backends.numba.gradient_room import Gradients
from g_selfatt.backends.numba.images import view
from g_selfatt.backends.numba.kernels_backward import backward
from g_selfatt.backends.numba.kernels_forward import forward
from g_selfatt.backends.numba.lanes import BYTES
from g_selfatt.backends.numba.table import unique_rows
from g_selfatt.backends.numba.workers import run_all, share_out
from g_selfatt.functional.dropout import steps_of
from g_selfatt.functional.inputs import AttentionInputs

# A normalizer below this is computed again from the joint maximum. Terms that matter to a sum of
# this size are larger than it times the precision, and so are all their factors: normal numbers.
LEAST_NORMALIZER = {torch.float32: 1e-20, torch.float64: 1e-200}
# Of a key outside the image: lower than the score of any other, and finite with one added to it.
PENALTY = {dtype: torch.finfo(dtype).min / 2 for dtype in LEAST_NORMALIZER}
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, by the compiled kernels."""
    # From the generator that torch.manual_seed sets. Here and below device="cpu" says what
    # torch.set_default_device may have changed.
    seed = int(torch.randint(2**62, (), device="cpu")) if inputs.dropout_rate > 0 else 0
    return _Attention.apply(
        inputs.query,
        inputs.key,
        inputs.value,
        inputs.positional_table,
        inputs.group_embedding,
        inputs.group_index,
        inputs.scale,
        inputs.dropout_rate,
        seed,
    )


class _Attention(torch.autograd.Function):
    """`attend` for autograd; its arguments are query, key, value and those of `Call`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        table: Tensor,
        embedding: Tensor | None,
        index: Tensor | None,
        *options: Any,
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, table, embedding, index)
        ctx.call = Call(query, table, embedding, index, *options)
        return ctx.call.forward(query, key, value).to(query.dtype)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the first five arguments, in their dtypes, None where not needed.

        Raises:
            ValueError: a graph of the gradients is asked for: there are no second derivatives.
        """
        # torch's own once_differentiable says nothing where d_out is a constant.
        if torch.is_grad_enabled():
            raise ValueError(
                "create_graph=True: the compiled attention has no second derivatives, "
                "choose backend='reference' for them"
            )
        saved = ctx.saved_tensors  # read once: activation checkpointing computes them again
        gradients = ctx.call.backward(*saved[:3], d_out, ctx.needs_input_grad[:5])
        typed = (
            None if gradient is None or tensor is None else gradient.to(tensor.dtype)
            for gradient, tensor in zip(gradients, saved, strict=False)
        )
        return (*typed, None, None, None, None)


class Call:
    """What forward and backward of one attention have in common: all but query, key and value.

    Args:
        like: the query; its shape, dtype and layout are read, its numbers are not.
        table, embedding, index, scale, dropout_rate: as in `self_attention`.
        seed: of the dropout.
    """

    def __init__(
        self,
        like: Tensor,
        table: Tensor,
        embedding: Tensor | None,
        index: Tensor | None,
        scale: float,
        dropout_rate: float,
        seed: int,
    ) -> None:
        self.shape, self.table_shape = like.shape, table.shape
        self.units, channels = like.shape[0] * like.shape[1], like.shape[2]
        # The projections put the heads inside the channels; what is returned lies as the query.
        self.heads_inside = like.stride(1) < like.stride(2)
        self.dtype = dtype = torch.promote_types(like.dtype, torch.float32)
        lanes = BYTES // dtype.itemsize
        threshold = steps_of(dropout_rate)
        # What both kernels are given beside the tensors.
        self.numbers = (1 - threshold / 2**16, lanes, LEAST_NORMALIZER[dtype])
        height, width, *window = *like.shape[4:], *table.shape[2:]
        self.geometry = geometry = plan((height, width), (window[0], window[1]), lanes)
        outputs, elements = len(table), like.shape[3]
        table = table.detach().to(dtype)
        if embedding is None or index is None:  # lifting: a group score of zero
            embedding = like.new_zeros(1, 0)
            index = torch.zeros(outputs, elements, elements, dtype=torch.int64, device="cpu")
        self.problem = Problem(
            None,
            None,
            None,
            float(scale),
            *unique_rows(table.flatten(2).mT.contiguous().numpy()),
            # A copy: a view of NumPy's would pin the storage of a parameter, which FSDP resizes.
            embedding.detach().to(dtype, copy=True).contiguous().numpy(),
            index.contiguous().numpy(),
            np.where(geometry.inside, 0.0, PENALTY[dtype]).astype(NUMPY[dtype]),
            geometry.blocks,
            channels,
            (height, width, geometry.stride, geometry.margin),
            geometry.window,
            seed,
            threshold,
        )

    def _empty_images(self, count: int, elements: int) -> tuple[Tensor, ...]:
        """Several ``(B, heads, c, elements, H, W)``, side by side in each sample."""
        batch, heads, channels, _, *size = self.shape
        inside = (channels, heads) if self.heads_inside else (heads, channels)
        images = self._empty(batch, count, *inside, elements, *size)
        return (images.transpose(2, 3) if self.heads_inside else images).unbind(1)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device="cpu")

    def _tasks(self) -> NDArray[np.int64]:
        return share_out(self.units, len(self.geometry.blocks), torch.get_num_threads())

    def _problem(self, *maps: Tensor) -> Problem:
        query, key, value = (view(image.to(self.dtype)) for image in maps)
        return self.problem._replace(query=query, key=key, value=value)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``(B, heads, c, |H|, H, W)``."""
        problem = self._problem(query, key, value)
        (out,) = self._empty_images(1, self.table_shape[0])
        run_all(forward, self._tasks(), NUMPY[self.dtype], problem, view(out), *self.numbers)
        return out

    def backward(
        self, query: Tensor, key: Tensor, value: Tensor, d_out: Tensor, wanted: tuple[bool, ...]
    ) -> tuple[Tensor | None, ...]:
        """The gradients of query, key, value, table and embedding.

        Args:
            query, key, value: as they were in the forward.
            d_out: gradient of the output, ``(B, heads, c, |H|, H, W)``.
            wanted: for each of the five, whether it is computed.

        Returns:
            For each of the five None, or a tensor of its shape, in float32 or float64.
        """
        problem = self._problem(query, key, value)
        tasks = self._tasks()
        extras = [(unit, extra) for unit, *_, extra in tasks.tolist() if extra >= 0]
        wants_scores = wanted[0] or wanted[1] or wanted[3] or wanted[4]
        # Side by side, so that projections by one product get them without a copy.
        d_query, d_key, d_value = self._empty_images(3, self.shape[3])
        room = self._empty(2, 1, max(len(extras), 1), *self.shape[2:])
        extra_key, extra_value = room.unbind(0)
        rows, depth = self.units + len(extras), problem.table.shape[1]
        d_table = self._empty(rows, *problem.rows.shape, depth)
        d_embedding = self._empty(rows, *problem.embedding.shape)
        gradients = Gradients(
            view(d_out.to(self.dtype)),
            view(d_query),
            view(d_key),
            view(d_value),
            view(extra_key),
            view(extra_value),
            d_table.numpy(),
            d_embedding.numpy(),
            wants_scores,
            wants_query=wanted[0],
            wants_key=wanted[1],
            wants_value=wanted[2],
        )
        run_all(backward, tasks, NUMPY[self.dtype], problem, gradients, *self.numbers)

        for unit, extra in extras:
            place = divmod(unit, self.shape[1])  # sample and head
            d_key[place] += extra_key[0, extra]
            d_value[place] += extra_value[0, extra]
        table = d_table.sum(0).mT.unflatten(-1, self.geometry.window)
        return (
            d_query if wanted[0] else None,
            d_key if wanted[1] else None,
            d_value if wanted[2] else None,
            table if wanted[3] else None,
            d_embedding.sum(0) if wanted[4] else None,
        )
