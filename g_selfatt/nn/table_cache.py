"""What follows from the weights alone is computed once, as long as they do not change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from g_selfatt.functional.tracing import is_traced, is_transformed


class _Entry(NamedTuple):
    key: Hashable
    weights: list[Tensor]
    table: Tensor


class TableCache:
    """The last table that was computed without gradients, and a copy of the weights it came from.

    A layer has one for its positional table or its filters. The numbers themselves are compared:
    torch's count of writes to a tensor misses those of a fused optimizer and those through
    ``weight.data``. On a GPU a comparison would make the CPU wait, so nothing is cached there.
    """

    def __init__(self) -> None:
        # Replaced as a whole and never written to, so that threads can share a layer.
        self._entry: _Entry | None = None

    def __reduce__(self) -> tuple[type[TableCache], tuple[()]]:
        """Copies and pickles of a layer begin with nothing."""
        return TableCache, ()

    def get(
        self, key: Hashable, weights: Iterable[Tensor], compute: Callable[[], Tensor]
    ) -> Tensor:
        """``compute()``, or what it gave last time for the same key and weights.

        Args:
            key: all that the table depends on beside the weights.
            weights: all tensors that ``compute`` reads.
            compute: function of no arguments, run where there is nothing to reuse.
        """
        weights = list(weights)
        elsewhere = any(weight.device.type != "cpu" for weight in weights)
        if elsewhere or is_traced(*weights) or is_transformed(*weights):
            return compute()
        key = (key, *((weight.dtype, weight.shape) for weight in weights))
        entry = self._entry
        if entry is None or entry.key != key or not all(map(torch.equal, weights, entry.weights)):
            table = compute()
            if is_traced(table):  # a tracer's stand-in means nothing after the trace
                return table
            copies = [weight.detach().clone() for weight in weights]
            self._entry = entry = _Entry(key, copies, table)
        return entry.table
