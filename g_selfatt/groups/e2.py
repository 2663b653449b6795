"""Rotations with mirrors: the dihedral groups D_n of E(2)."""

from __future__ import annotations

import torch

from g_selfatt.groups.group import Group
from g_selfatt.groups.se2 import rotation_matrices


class E2(Group):
    """The n rotations by 2πk/n, then the same n after the mirror (row, col) → (row, −col).

    Element (μ, k) has the matrix R(2πk/n)·diag(1, μ): pnm, and mz2 for n = 1.

    Args:
        num_elements: the total 2n, even.

    Raises:
        ValueError: an odd number of elements, or fewer than two.
    """

    def __init__(self, num_elements: int) -> None:
        if num_elements < 2 or num_elements % 2:
            raise ValueError(
                f"E2 counts rotations and mirrored rotations, an even number: got {num_elements}"
            )
        n = self.num_rotations = num_elements // 2
        mirror, k = torch.arange(num_elements) // n, torch.arange(num_elements) % n
        # R(a)·M^s · R(b)·M^t = R(a + (−1)^s b)·M^(s+t), because M·R(b) = R(−b)·M.
        rotation = (k[:, None] + (1 - 2 * mirror[:, None]) * k) % n
        rotations = rotation_matrices(n)
        mirrored = rotations * torch.tensor([1.0, -1.0])  # the second column changes sign
        super().__init__(
            name="mz2" if n == 1 else f"p{n}m",
            multiplication_table=(mirror[:, None] ^ mirror) * n + rotation,
            matrices=torch.cat([rotations, mirrored]) + 0.0,
        )
