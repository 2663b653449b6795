"""The attention compiled for the CPU by Numba; no score is ever stored."""

from __future__ import annotations

import functools
import importlib.util
import logging

import torch
from torch import Tensor

from g_selfatt.backends import recompute
from g_selfatt.backends.numba import graph_operator
from g_selfatt.functional.inputs import AttentionInputs
from g_selfatt.functional.tracing import is_compiled, is_traced


def can_run(inputs: AttentionInputs) -> str | None:
    """The reason why the compiled kernels cannot run these inputs, or None if they can."""
    if is_traced(inputs.query) and not is_compiled():
        return "the model is being traced"
    if inputs.query.device.type != "cpu":
        return f"the kernels are for the CPU, the inputs are on {inputs.query.device.type}"
    return _why_not_here()


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, equal to the reference's."""
    if is_compiled():
        return graph_operator.attend(inputs)
    if graph_operator.has_to_be_plain(inputs.query, inputs.positional_table):
        return recompute.attend(inputs)
    # Not at the top: the kernels need Numba, and take their time to load.
    from g_selfatt.backends.numba import operator

    return operator.attend(inputs)


@torch.compiler.assume_constant_result
def _why_not_here() -> str | None:
    return _why_no_numba()


@functools.cache
def _why_no_numba() -> str | None:
    """Looked up and logged once: without Numba, training on the CPU is many times slower."""
    if importlib.util.find_spec("numba") is not None:
        return None
    reason = "Numba is not installed (pip install numba)"
    logging.getLogger(__name__).info("slow attention on the CPU: %s", reason)
    return reason
