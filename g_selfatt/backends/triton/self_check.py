"""Whether the kernels give the reference's numbers on this machine, asked once for each kind.

A compiler or a driver that this code has not met may fail in ways that no test of ours has seen.
Before "auto" gives a model to the kernels, they compute a small forward and backward of the same
kind: device, dtypes, group, lifting or not, global or not, channels. If that fails, or differs from
the reference, it is logged once, and "auto" takes the next backend.

Nothing is checked while a graph is captured or traced, where nothing can be computed: only what has
passed before counts. So "auto" takes the kernels in a compiled model if it has run once uncompiled;
`backend="triton"` does not ask, and compiles at once.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from g_selfatt.functional import reference
from g_selfatt.functional.inputs import AttentionInputs

# float32 is exact but for rounding; the others are rounded themselves, at the end.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 4e-2}

Kind = tuple[Any, ...]
_failures: dict[Kind, str] = {}  # "" where there is none


def passes(inputs: AttentionInputs) -> bool:
    """Whether the kernels are right for inputs of this kind."""
    kind = _kind(inputs)
    if torch.compiler.is_compiling():
        return _has_passed(kind)
    if inputs.query.is_cuda and torch.cuda.is_current_stream_capturing():
        return _has_passed(kind)
    if kind not in _failures:
        try:
            _failures[kind] = _check(kind) or ""
        except torch.OutOfMemoryError:  # of this moment, and not of this kind
            return False
        if _failures[kind]:
            logging.getLogger(__name__).warning(
                "the Triton attention is not used, %s (%s)", _failures[kind], kind
            )
    return not _failures[kind]


def reset() -> None:
    """Forget what was found."""
    _failures.clear()


@torch.compiler.assume_constant_result
def _has_passed(kind: Kind) -> bool:
    return _failures.get(kind) == ""


def _kind(inputs: AttentionInputs) -> Kind:
    q, table = inputs.query, inputs.positional_table
    return (
        str(q.device),
        q.dtype,
        inputs.key.dtype,
        inputs.value.dtype,
        q.shape[2],
        table.shape[0],
        q.shape[3],
        None if inputs.group_embedding is None else tuple(inputs.group_embedding.shape),
        table.shape[1],
        inputs.whole_image,
    )


def _check(kind: Kind) -> str | None:
    """What is wrong, or None; on inputs of its own, and without touching the random numbers.

    Whatever the caller's modes: under `torch.utils.checkpoint` nothing is kept for its backward.
    """
    untouched = torch.autograd.graph.saved_tensors_hooks(_same, _same)
    with torch.inference_mode(False), torch.enable_grad(), untouched:
        return _compare(kind)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _compare(kind: Kind) -> str | None:
    device, dtype, key_dtype, value_dtype, c, outputs, elements, embedded, depth, is_global = kind
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device="cpu", dtype=torch.float32)

    size, window = ((3, 5), (5, 9)) if is_global else ((4, 10), (3, 3))
    images = [random(1, 1, c, elements, *size).to(d) for d in (dtype, key_dtype, value_dtype)]
    floats = [*images, random(outputs, depth, *window)]
    index = None
    if embedded is not None:
        floats.append(random(*embedded))
        shape = (outputs, elements, elements)
        index = torch.randint(embedded[0], shape, generator=generator, device="cpu")
    weights = random(1, 1, c, outputs, *size)

    def run(attend: Any, where: str, exact: bool) -> list[Tensor]:
        given = [t.to(where, torch.float64 if exact else t.dtype) for t in floats]
        given = [t.requires_grad_() for t in given]
        query, key, value, table, *rest = given
        embedding = rest[0] if rest else None
        indices = None if index is None else index.to(where)
        out = attend(AttentionInputs(query, key, value, table, embedding, indices, 1 / c**0.5, 0.0))
        loss = (out * weights.to(out)).sum()
        return [t.detach().cpu().double() for t in (out, *torch.autograd.grad(loss, given))]

    try:
        # Here, since it needs Triton.
        from g_selfatt.backends.triton import operator

        with torch.autocast("cpu", enabled=False):
            expected = run(reference.attend, "cpu", True)
        with torch.autocast(torch.device(device).type):  # where the dtypes may differ
            got = run(operator.attend, device, False)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the compiler's, the driver's, the assembler's
        return f"it fails: {type(error).__name__}: {error}"
    largest = max(t.abs().max().item() for t in expected if t.numel())
    for a, b in zip(got, expected, strict=True):
        scale = max(b.abs().max().item(), largest / 10) if b.numel() else 1.0
        # Written so that NaN does not pass.
        if b.numel() and not (a - b).abs().max().item() <= TOLERANCES[dtype] * scale:
            return "its numbers are not the reference's"
    return None
