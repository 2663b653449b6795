"""Encode the positions once for as long as the weights stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import torch
from torch import Tensor


class TableCache:
    """The last table that was computed without gradients, and the weights it came from.

    A change of the weights is noticed by torch's count of writes to a tensor, without looking at
    the numbers, which would stall a GPU. Writes through ``weight.data`` escape that count; write
    under `torch.no_grad` instead.
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
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return compute()
        try:
            key = (window, *map(_identity, weights))
        except RuntimeError:  # a tensor of `torch.func` or of inference mode: it has no identity
            return compute()
        if self._table is None or key != self._key:
            # Kept alive, so that no other tensor can come to lie at the same address.
            self._key, self._weights = key, [weight.detach() for weight in weights]
            self._table = compute()
        return self._table


def _identity(weight: Tensor) -> Hashable:
    kind = weight.device.type
    precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return weight.data_ptr(), weight._version, weight.dtype, precision
