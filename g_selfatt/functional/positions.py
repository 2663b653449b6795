"""Offsets between pixels, acted on by the group: the coordinates that the position MLPs see.

Positions enter the attention through the offset δ = j − i from query to key alone, so one table
per group element over the offsets of a window serves every pixel pair (the relative positional
encoding of Romero & Cordonnier, 2021, and the action of the group on it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from g_selfatt.groups import Group


def window_offsets(window: tuple[int, int]) -> Tensor:
    """The offsets δ of a window, centred: ``(2, K_h, K_w)`` float64 (row, col), in pixels.

    Args:
        window: odd height K_h and width K_w.
    """
    rows, cols = (torch.arange(size, dtype=torch.float64) - size // 2 for size in window)
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
        window: odd height and width.
        unit: the offset, in pixels, that becomes coordinate 1; 0 where the window is one pixel.
        dtype, device: of the result.

    Returns:
        Coordinates (row, col), ``(|H|, 2, K_h, K_w)``; shared between calls, not to be written to.
    """
    tables, kind = group.offset_tables, (window, unit, dtype, str(device))
    if kind not in tables:
        # The table outlives the call, so it must not become an inference tensor by accident.
        with torch.inference_mode(False):
            offsets = window_offsets(window)
            acted = torch.stack(
                [group.left_action_on_Rd(h, offsets) for h in range(group.num_elements)]
            )
            tables[kind] = (acted / max(unit, 1)).to(device=device, dtype=dtype)
    return tables[kind]
