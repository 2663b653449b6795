"""The kernels as custom operators of PyTorch, so that compilation, autocast and DDP see through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from g_selfatt.backends.custom_operator import (
    INPUTS,
    empty_unless,
    operator_gradients,
    operator_inputs,
)
from g_selfatt.backends.triton.launch import Call, image_like
from g_selfatt.functional.inputs import AttentionInputs


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, by the Triton kernels."""
    return _forward(*operator_inputs(inputs))[0]


@torch.library.custom_op(
    "g_selfatt::triton_attention", mutates_args=(), schema=f"({INPUTS}) -> (Tensor, Tensor)"
)
def _forward(query: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    """The output ``(B, heads, c, |H|, H, W)`` and the log-sum-exps ``(B·heads, |H|, G, H·W)``."""
    if query.numel() == 0:
        return _allocate(query, *others)
    with torch.cuda.device_of(query):
        return Call(query, *others).forward()


@_forward.register_fake
def _allocate(query: Tensor, key: Tensor, value: Tensor, table: Tensor, *others: Any) -> Any:
    batch, heads, _, elements, height, width = query.shape
    shape = (batch * heads, table.shape[0], elements, height * width)
    out = image_like(query, table.shape[0], query.dtype)
    return out, query.new_empty(shape, dtype=torch.float32)


@torch.library.custom_op(
    "g_selfatt::triton_attention_backward",
    mutates_args=(),
    schema=f"(Tensor d_out, Tensor lse, bool[] wanted, {INPUTS}) -> Tensor[]",
)
def _backward(d_out: Tensor, lse: Tensor, wanted: list[bool], *inputs: Any) -> list[Tensor]:
    """The gradients of query, key, value, table and, if there is one, embedding.

    Empty, ``(0,)``, where not wanted.
    """
    if d_out.numel() == 0:
        return [gradient.zero_() for gradient in _allocate_gradients(d_out, lse, wanted, *inputs)]
    with torch.cuda.device_of(d_out):
        return Call(*inputs).backward(d_out, lse, wanted)


@_backward.register_fake
def _allocate_gradients(
    d_out: Tensor, lse: Tensor, wanted: list[bool], *inputs: Any
) -> list[Tensor]:
    query = inputs[0]
    gradients = [image_like(query, query.shape[3], image.dtype) for image in inputs[:3]] + [
        torch.empty_like(t, memory_format=torch.contiguous_format)
        for t in inputs[3:5]
        if t is not None
    ]
    return empty_unless(wanted, gradients)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:7], output[1])
    ctx.options = inputs[7:]
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, d_out: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise ValueError(
            "create_graph=True: the Triton attention has no second derivatives, "
            "choose backend='reference' for them"
        )
    *inputs, lse = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:5])
    computed = _backward(d_out, lse, wanted, *inputs, *ctx.options)
    return operator_gradients(computed, wanted)


_forward.register_autograd(_differentiate, setup_context=_save)
