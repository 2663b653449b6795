"""Encode the positions once for as long as the weights stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import torch
from torch import Tensor


class TableCache:
    """The last table that was computed without gradients, and a copy of the weights it came from.

    The numbers themselves are compared: torch's count of writes to a tensor misses those of a fused
    optimiser and those through ``weight.data``. On a GPU a comparison would make the CPU wait, so
    nothing is cached there.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._weights: list[Tensor] = []
        self._table: Tensor | None = None

    def get(
        self, window: tuple[int, int], weights: Iterable[Tensor], compute: Callable[[], Tensor]
    ) -> Tensor:
        """``compute()``, or what it gave last time for the same window and weights.

        Args:
            window: what the table depends on beside the weights.
            weights: every tensor that ``compute`` reads.
            compute: a function of no arguments, run where there is nothing to reuse.
        """
        weights = list(weights)
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if traced or any(weight.device.type != "cpu" for weight in weights):
            return compute()
        autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        key = (window, autocast, *((weight.dtype, weight.shape) for weight in weights))
        if (
            self._table is None
            or key != self._key
            or not all(map(torch.equal, weights, self._weights))
        ):
            self._key, self._weights = key, [weight.detach().clone() for weight in weights]
            self._table = compute()
        return self._table
