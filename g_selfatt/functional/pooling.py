"""Pooling of a map on the group to numbers that do not change when the input turns."""

from __future__ import annotations

from torch import Tensor

from g_selfatt.functional.tracing import is_traced

REDUCTIONS = ("sum", "mean")


def invariant_pooling(signal: Tensor, reduction: str = "sum") -> Tensor:
    """Sum over space, then the maximum over the group.

    The end of the networks of Romero & Cordonnier (2021).

    Args:
        signal: map on the group, ``(B, C, |H|, H, W)``.
        reduction: over space, ``"sum"`` as in the paper, or ``"mean"``, whose size does not depend
            on that of the image.

    Returns:
        ``(B, C)``, invariant to the group.

    Raises:
        ValueError: another reduction, or no map on the group.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"unknown reduction {reduction!r}; choose one of {', '.join(REDUCTIONS)}")
    if not is_traced(signal) and signal.dim() != 5:
        raise ValueError(f"expected a map (B, C, |H|, H, W), got {tuple(signal.shape)}")
    over_space = signal.sum if reduction == "sum" else signal.mean
    return over_space(dim=(-2, -1)).amax(dim=-1)
