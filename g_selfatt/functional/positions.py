"""Offsets between pixels, acted on by the group: the coordinates that the position MLPs see.

Positions enter the attention through the offset δ = j − i from query to key only, so one table
per group element over the offsets of a window serves every pixel pair (the relative positional
encoding of Romero & Cordonnier, 2021, and the action of the group on it).
"""

from __future__ import annotations

import torch
from torch import Tensor

from g_selfatt.groups import Group
from g_selfatt.groups.tables import cached_table


def window_offsets(window: tuple[int, int]) -> Tensor:
    """The offsets δ of a window, centred: ``(2, K_h, K_w)`` float64 (row, col), in pixels.

    Args:
        window: height K_h and width K_w, odd.
    """
    rows, cols = (
        torch.arange(size, dtype=torch.float64, device="cpu") - size // 2 for size in window
    )
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij"))


def acted_offsets(
    group: Group,
    window: tuple[int, int],
    unit: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """h·δ / unit for every group element h and every offset δ of a window.

    Computed in float64 and cast once: a coordinate that is zero is exactly zero, and elements that
    differ by a quarter turn or a mirror have coordinates that are equal to the bit.

    Args:
        group: the group that acts.
        window: height and width of the window, odd.
        unit: offset in pixels that becomes coordinate 1; 0 where the window is one pixel.
        dtype, device: dtype and device of the result.

    Returns:
        Coordinates (row, col), ``(|H|, 2, K_h, K_w)``; shared between calls, not to be written to.
    """

    def compute() -> Tensor:
        offsets = window_offsets(window)
        acted = [group.left_action_on_Rd(h, offsets) for h in range(group.num_elements)]
        return (torch.stack(acted) / max(unit, 1)).to(device=device, dtype=dtype)

    if not all(type(side) is int for side in window):  # an exporter's sizes are symbols
        return compute()
    return cached_table(group, (window, unit, dtype, str(device)), compute)
