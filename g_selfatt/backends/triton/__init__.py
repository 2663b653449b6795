"""Attention fused into a few kernels for NVIDIA GPUs; nothing of size |H|³ is ever stored.

`parts` says how a program is laid out, `blocks` has the sizes, the kernels' docstrings the tiles.
"""

from __future__ import annotations

import functools
import importlib.util
import os

import torch
from torch import Tensor

from g_selfatt.backends.triton import self_check
from g_selfatt.backends.triton.blocks import MOST_CHANNELS, MOST_ELEMENTS
from g_selfatt.functional.inputs import AttentionInputs
from g_selfatt.functional.tracing import is_compiled, is_traced

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LEAST_CAPABILITY = (7, 0)  # what Triton compiles for


def can_run(inputs: AttentionInputs) -> str | None:
    """Why the kernels cannot take these inputs, or None if they can.

    They run on the CPU in Triton's interpreter, very slowly: for tests, with TRITON_INTERPRET=1 set
    before Triton is imported.
    """
    if is_traced(inputs.query) and not is_compiled():
        return "the model is being traced"
    q, table = inputs.query, inputs.positional_table
    reason = why_not_on(q.device.type)
    if reason is not None:
        return reason
    for name, image in (("query", q), ("key", inputs.key), ("value", inputs.value)):
        if image.dtype not in DTYPES:
            return f"the kernels take float32, bfloat16 and float16, the {name} is {image.dtype}"
    elements = max(table.shape[0], q.shape[3])
    if inputs.group_embedding is not None:
        if inputs.group_embedding.shape[1] == 0:
            return "the kernels take a group_embedding of at least one channel"
        elements = max(elements, inputs.group_embedding.shape[0])
    if elements > MOST_ELEMENTS:
        return f"the kernels take groups of up to {MOST_ELEMENTS} elements, this one has {elements}"
    if q.shape[2] > MOST_CHANNELS:
        return f"the kernels take up to {MOST_CHANNELS} channels a head, there are {q.shape[2]}"
    if _largest_offset(inputs) >= 2**31:
        return "the inputs are larger than 32-bit offsets reach"
    return None


def is_worth_it(inputs: AttentionInputs) -> bool:
    """On a GPU, if a check of such inputs against the reference has passed there."""
    if inputs.query.device.type != "cuda":
        return False  # the interpreter
    return self_check.passes(inputs)


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, equal to the reference's."""
    # Not at the top: the kernels need Triton.
    from g_selfatt.backends.triton import operator

    return operator.attend(inputs)


@torch.compiler.assume_constant_result
def why_not_on(device: str) -> str | None:
    """The reason why there are no kernels for a type of device, or None."""
    reason = _why_no_triton()
    if reason is not None:
        return reason
    if device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
        return None
    if device != "cuda":
        return f"the kernels are for CUDA GPUs, the inputs are on {device}"
    if torch.version.hip is not None:
        return "the kernels are for CUDA GPUs, this is ROCm"
    if torch.cuda.get_device_capability() < LEAST_CAPABILITY:
        return "the GPU is older than compute capability 7.0"
    return None


@functools.cache
def _why_no_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (it comes with PyTorch for CUDA on Linux)"
    return None


def _largest_offset(inputs: AttentionInputs) -> int:
    """Of the numbers that the kernels count in 32 bits; where a unit begins has 64."""
    q, table = inputs.query, inputs.positional_table
    outputs, elements, pixels = table.shape[0], q.shape[3], q.shape[4] * q.shape[5]
    spans = [
        sum((n - 1) * step for n, step in zip(image.shape[2:], image.stride()[2:], strict=True))
        for image in (q, inputs.key, inputs.value)
    ]
    layouts = (q.shape[1] * q.shape[2] * max(outputs, elements), outputs * elements)
    programs = q.shape[0] * q.shape[1] * pixels * max(outputs, elements)
    return max(*spans, *(n * pixels for n in layouts), table.numel(), programs)
