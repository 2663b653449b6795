"""The attention compiled for the CPU by Numba; no score is ever stored."""

from __future__ import annotations

import functools
import importlib.util
import logging

from torch import Tensor

from g_selfatt.backends import recompute
from g_selfatt.functional.inputs import AttentionInputs, is_traced


def can_run(inputs: AttentionInputs) -> str | None:
    """The reason why the compiled kernels cannot run these inputs, or None if they can."""
    if is_traced(inputs.query):
        return "the model is being traced"
    if inputs.query.device.type != "cpu":
        return f"the kernels are for the CPU, the inputs are on {inputs.query.device.type}"
    return _why_no_numba()


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, equal to the reference's."""
    if inputs.query.numel() == 0 or not inputs.positional_table.isfinite().all():
        # Nothing to compute, or a NaN that the kernels would give to queries that do not meet it.
        return recompute.attend(inputs)
    # Not at the top: the kernels need Numba, and take their time to load.
    from g_selfatt.backends.numba import operator

    return operator.attend(inputs)


@functools.cache
def _why_no_numba() -> str | None:
    """Looked up and logged once: without Numba, training on the CPU is many times slower."""
    if importlib.util.find_spec("numba") is not None:
        return None
    reason = "Numba is not installed (pip install numba)"
    logging.getLogger(__name__).info("slow attention on the CPU: %s", reason)
    return reason
