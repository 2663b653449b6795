"""Pooling of a map on the group to numbers that do not change when the input turns."""

from __future__ import annotations

from torch import Tensor


def invariant_pooling(signal: Tensor) -> Tensor:
    """Sum over space, then the maximum over the group.

    The end of the networks of Romero & Cordonnier (2021).

    Args:
        signal: map on the group, ``(B, C, |H|, H, W)``.

    Returns:
        ``(B, C)``, invariant to the group.
    """
    return signal.sum(dim=(-2, -1)).amax(dim=-1)
