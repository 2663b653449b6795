"""Tensors that follow from a group and a few numbers: computed once, and kept with the group."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from g_selfatt.groups.group import Group

MOST_TABLES = 256
"""Number of tables that a group keeps; the oldest go first. A layer has one for each image size."""


def cached_table(group: Group, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
    """``compute()``, or the result of an earlier call with the same key.

    Args:
        group: the group that keeps the table.
        key: all that the table depends on beside the group.
        compute: function of no arguments, run where there is nothing to reuse.

    Returns:
        The table; shared between calls, not to be written to.
    """
    if torch.jit.is_tracing():  # which compares two traces: both have to compute
        return compute()
    tables = group._tables
    table = tables.get(key)
    if table is not None:
        return table
    # The table outlives the call, so it must not become an inference tensor by accident.
    with torch.inference_mode(False):
        table = compute()
    # What stands for a tensor in a trace or a transform of `torch.func` means nothing after it.
    transformed = torch._C._are_functorch_transforms_active()
    if type(table) is Tensor and not torch.compiler.is_compiling() and not transformed:
        while len(tables) >= MOST_TABLES:
            tables.pop(next(iter(list(tables))), None)
        tables[key] = table
    return table
