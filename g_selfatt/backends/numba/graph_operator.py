"""The kernels as custom operators of PyTorch, which torch.compile keeps in its graphs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from g_selfatt.backends import recompute
from g_selfatt.backends.custom_operator import (
    INPUTS,
    empty_unless,
    operator_gradients,
    operator_inputs,
)
from g_selfatt.functional.inputs import AttentionInputs, check_rows


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, as one node of the graph."""
    return _forward(*operator_inputs(inputs))


@torch.library.custom_op(
    "g_selfatt::numba_attention", mutates_args=(), schema=f"({INPUTS}) -> Tensor"
)
def _forward(*inputs: Any) -> Tensor:
    """``(B, heads, c, |H|, H, W)``."""
    query, key, value, table, embedding, index, _, scale, rate = inputs
    if embedding is not None:
        check_rows(embedding, index)  # whose numbers were not known when the graph was made
    if has_to_be_plain(query, table):
        dtype = torch.promote_types(query.dtype, torch.float32)
        floats = [t if t is None else t.to(dtype) for t in (query, key, value, table, embedding)]
        computed = recompute.attend(AttentionInputs(*floats, index, scale, rate))  # type: ignore
    else:
        computed = _call(*inputs).forward(query, key, value)
    return _allocate(*inputs).copy_(computed)


@_forward.register_fake
def _allocate(query: Tensor, key: Tensor, value: Tensor, table: Tensor, *others: Any) -> Tensor:
    return _image_like(query, table.shape[0])


@torch.library.custom_op(
    "g_selfatt::numba_attention_backward",
    mutates_args=(),
    schema=f"(Tensor d_out, bool[] wanted, {INPUTS}) -> Tensor[]",
)
def _backward(d_out: Tensor, wanted: list[bool], *inputs: Any) -> list[Tensor]:
    """The gradients of query, key, value, table and, if there is one, embedding.

    Empty, ``(0,)``, where not wanted.
    """
    room = _allocate_gradients(d_out, wanted, *inputs)
    if d_out.numel() == 0:
        return [gradient.zero_() for gradient in room]
    computed = _call(*inputs).backward(*inputs[:3], d_out, tuple(wanted))
    return [
        gradient if one is None else gradient.copy_(one)
        for gradient, one in zip(room, computed, strict=False)
    ]


@_backward.register_fake
def _allocate_gradients(d_out: Tensor, wanted: list[bool], *inputs: Any) -> list[Tensor]:
    images, tables = inputs[:3], [t for t in inputs[3:5] if t is not None]
    room = [_image_like(image, image.shape[3]) for image in images]
    room += [table.new_empty(table.shape) for table in tables]
    return empty_unless(wanted, room)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:7])
    ctx.options = inputs[7:]


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    wanted = list(ctx.needs_input_grad[:5])
    computed = _backward(d_out, wanted, *ctx.saved_tensors, *ctx.options)
    return operator_gradients(computed, wanted)


_forward.register_autograd(_differentiate, setup_context=_save)


def has_to_be_plain(query: Tensor, table: Tensor) -> bool:
    """Whether there is nothing to compute, or a NaN that the kernels would give to other queries
    than those that meet it."""
    # Of the sum, which is one operation where a look at each number is six.
    return query.numel() == 0 or not math.isfinite(table.detach().sum(dtype=torch.float64))


def _image_like(image: Tensor, elements: int) -> Tensor:
    """Room for ``(B, heads, c, elements, H, W)``, the heads inside the channels as projections are.

    Not as they lie in ``image``: the compiler may give it another layout than it has told.
    """
    batch, heads, channels, _, *size = image.shape
    return image.new_empty((batch, channels, heads, elements, *size)).transpose(1, 2)


def _call(*inputs: Any) -> Any:
    # Not at the top: the kernels take their time to load.
    from g_selfatt.backends.numba.operator import Call

    query, _, _, table, embedding, index, seed, scale, rate = inputs
    number = 0 if seed is None else int(seed)
    call = Call(query, table, embedding, index, scale, rate, number)
    call.heads_inside = True
    return call
