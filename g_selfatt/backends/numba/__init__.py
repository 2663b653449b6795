"""Exact attention that never stores its scores: compiled on the CPU, plain PyTorch elsewhere."""

from __future__ import annotations

import functools
import importlib.util
import logging

import torch
from torch import Tensor

from g_selfatt.backends import recompute
from g_selfatt.functional.inputs import AttentionInputs

WORTHWHILE_SCORES = 2**26  # 256 MB of float32, of which the reference keeps several copies


def can_run(inputs: AttentionInputs) -> str | None:
    """Always None: the plain path runs everywhere."""
    return None


def is_worth_it(inputs: AttentionInputs) -> bool:
    """Where compiled, always; else where the reference's scores would be too many to keep."""
    if why_not_compiled(inputs) is None:
        return True
    batch, heads, _, elements, height, width = inputs.query.shape
    outputs, _, *window = inputs.positional_table.shape
    keys = min(window[0], height) * min(window[1], width)
    scores = batch * heads * outputs * elements**2 * height * width * keys
    return outputs > 1 and scores > WORTHWHILE_SCORES


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, equal to the reference's."""
    reason = why_not_compiled(inputs)
    if reason is not None:
        if inputs.query.device.type == "cpu":
            _log_once(reason)
        return recompute.attend(inputs)
    # Not at the top: the kernels need Numba, and take their time to load.
    from g_selfatt.backends.numba import operator

    return operator.attend(inputs)


def why_not_compiled(inputs: AttentionInputs) -> str | None:
    """The reason why the compiled kernels cannot run these inputs, or None if they can."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    if inputs.query.device.type != "cpu":
        return f"the kernels are for the CPU, the inputs are on {inputs.query.device.type}"
    if not inputs.query.is_floating_point():
        return f"the kernels are for floating point, the query is {inputs.query.dtype}"
    if inputs.query.numel() == 0:
        return "there is nothing to compute"
    return _why_no_numba()


@functools.cache
def _why_no_numba() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed (pip install numba): attention on the CPU will be slow"
    return None


@functools.cache
def _log_once(reason: str) -> None:
    logging.getLogger(__name__).info("plain PyTorch attention: %s", reason)
