"""Inputs of the attention that the tests of all backends share, and the error of a result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from g_selfatt import groups
from g_selfatt.backends import AttentionInputs
from g_selfatt.functional import group_index, reference, self_attention

# Group, (H, W), window: small enough for Triton's interpreter.
SMALL_CASES = [
    ("p4m", (2, 3), (1, 3)),
    ("p4", (3, 4), (3, 3)),
    ("mz2", (5, 7), (3, 3)),  # two tiles of pixels
    ("z2", (4, 9), (5, 5)),  # one group element, and a tile through the ends of rows
    ("mz2", (2, 3), (3, 5)),  # global
    ("mz2", (2, 5), (9, 3)),  # a window larger than the image
    ("mz2", (1, 1), (5, 5)),
    ("p6", (1, 2), (1, 3)),  # no power of two, and more keys than a tile has room for
]
SCALE = 0.3
SINGLE = 1e-5  # float32's error, relative to the largest number of a tensor


def make_inputs(
    group: str = "p4m",
    size: tuple[int, int] = (3, 4),
    window: tuple[int, int] = (3, 3),
    *,
    lifting: bool = False,
    batch: int = 2,
    heads: int = 2,
    c: int = 7,
    encoding: str = "equivariant",
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> list[Any]:
    """Random query, key, value, table, embedding and index; no embedding in lifting."""

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, device=device)

    acting = groups.get(group)
    elements, d = (1, c) if lifting else (acting.num_elements, 2 * (c // 3))
    images = [random(batch, heads, c, elements, *size) for _ in range(3)]
    table = random(acting.num_elements, d, *window)
    if lifting:
        return [*images, table, None, None]
    embedding = random(acting.num_elements, c - d)
    return [*images, table, embedding, group_index(acting, encoding).to(device)]


make_small_inputs = partial(make_inputs, batch=1, heads=1, c=4, dtype=torch.float32)
"""Inputs as `make_inputs` gives them, of a size that Triton's interpreter takes."""


def attention_of(inputs: list[Any], dropout_rate: float = 0.0) -> AttentionInputs:
    """What `make_inputs` gives, as the backends take it."""
    query, key, value, table, embedding, index = inputs
    return AttentionInputs(query, key, value, table, embedding, index, SCALE, dropout_rate)


def outputs_and_gradients(
    attend: Callable[[AttentionInputs], Tensor],
    inputs: list[Any],
    dtype: torch.dtype,
    dropout_rate: float = 0.0,
) -> list[Tensor]:
    """What `attend` gives in a dtype, and the gradients of everything that has one."""
    inputs = [
        t if t is None or not t.is_floating_point() else t.detach().to(dtype).requires_grad_()
        for t in inputs
    ]
    out = attend(attention_of(inputs, dropout_rate))
    weights = torch.linspace(-1, 2, out.numel(), dtype=dtype, device=out.device)
    floats = [t for t in inputs[:5] if t is not None]
    return [out, *torch.autograd.grad((out * weights.reshape(out.shape)).sum(), floats)]


def results(backend: str, inputs: list[Any], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """The output of a backend, and all gradients."""

    def attend(given: AttentionInputs) -> Tensor:
        return self_attention(*list(vars(given).values())[:6], scale=SCALE, backend=backend)

    return outputs_and_gradients(attend, inputs, dtype)


def worst_error(got: list[Tensor], expected: list[Tensor]) -> float:
    """The largest error, relative to the largest number of its tensor; NaN where one is.

    Some gradients are zero but for rounding (a softmax does not see what all its scores share):
    they are measured relative to the others'.
    """
    largest = [e.abs().max().item() if e.numel() else 0.0 for e in expected]
    scales = [max(one, max(largest) / 10, 1e-30) for one in largest]
    errors = [
        (g.double().cpu() - e.double().cpu()).abs().max() / scale
        for g, e, scale in zip(got, expected, scales, strict=True)
        if g.numel()
    ]
    return torch.stack(errors).max().item()  # torch's max keeps NaN


def half_precision_errors(
    attend: Callable[[AttentionInputs], Tensor], inputs: list[Any], dtype: torch.dtype
) -> tuple[float, float]:
    """Ours, and twice what the reference makes of the same numbers in that precision."""
    rounded = [t if t is None or not t.is_floating_point() else t.to(dtype) for t in inputs]
    expected = outputs_and_gradients(reference.attend, rounded, torch.float64)
    got = outputs_and_gradients(attend, rounded, dtype)
    eager = outputs_and_gradients(reference.attend, rounded, dtype)
    return worst_error(got, expected), 2 * worst_error(eager, expected)


def dropped_errors(
    attend: Callable[[AttentionInputs], Tensor], inputs: list[Any], rate: float
) -> float:
    """Against the reference with the very mask that the kernels' hash should give, computed here
    a second time from its definition."""
    torch.manual_seed(5)
    got = outputs_and_gradients(attend, inputs, torch.float32, rate)
    torch.manual_seed(5)
    seed = int(torch.randint(2**62, (1,), device=inputs[0].device))

    def dropout(attention: Tensor, _: float) -> Tensor:
        kept = expected_mask(attention, inputs, seed, rate)
        return attention * kept.to(attention.device) / (1 - rate)

    with mock.patch.object(reference.F, "dropout", dropout):
        expected = outputs_and_gradients(reference.attend, inputs, torch.float64, rate)
    return worst_error(got, expected)


def expected_mask(attention: Tensor, inputs: list[Any], seed: int, rate: float) -> Tensor:
    """Which weights ``(b, n, h, g, y, x, m, i, j)`` stay: the hash of the kernels, in 64 bits."""
    batch, heads, outputs, elements, height, width, _, *window = attention.shape
    k_h, k_w = (
        min(k, 2 * n - 1) for k, n in zip(inputs[3].shape[2:], (height, width), strict=True)
    )
    y, x = torch.arange(height)[:, None, None, None], torch.arange(width)[:, None, None]
    i, j = torch.arange(window[0])[:, None], torch.arange(window[1])
    if (k_h, k_w) == (2 * height - 1, 2 * width - 1):  # i and j are key pixels
        i, j = i - y + k_h // 2, j - x + k_w // 2
    offset = (i * k_w + j).expand(height, width, *window)  # (y, x, i, j)
    pixel = (y * width + x).expand(height, width, 1, 1)
    m = torch.arange(elements)[:, None, None]
    weight = _mix(_mix(pixel)[:, :, None] + m * (k_h * k_w) + offset[:, :, None])
    row = torch.arange(batch * heads * outputs * elements)
    row = row.reshape(batch, heads, outputs, elements, 1, 1, 1, 1, 1)
    softmax = _mix(_mix(row + (seed & _WORD)) ^ (seed >> 32))
    bits = ((softmax ^ weight) * 0x21F0AAAD) & _WORD
    bits = ((bits ^ (bits >> 15)) * 0xD35A2D97) & _WORD
    return bits >= round(rate * 2**32)


_WORD = 2**32 - 1


def _mix(bits: Tensor) -> Tensor:
    """Wellons' lowbias32; the products of int64 wrap, and their low words are right."""
    bits = bits & _WORD
    bits = ((bits ^ (bits >> 16)) * 0x21F0AAAD) & _WORD
    bits = ((bits ^ (bits >> 15)) * 0xD35A2D97) & _WORD
    return bits ^ (bits >> 15)
