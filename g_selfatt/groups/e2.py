"""Rotations with mirrors: the dihedral groups D_n of E(2)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import torch

from g_selfatt.groups.group import Group
from g_selfatt.groups.se2 import SE2, rotation_matrices


class E2(Group):
    """The n rotations by 2πk/n, then the same n after a mirror.

    Element (μ, k) has the matrix R(2πk/n)·diag(1, μ): pnm, and mz2 for n = 1. The mirror
    (row, col) → (row, −col) has a vertical line; with an axis, every mirror's line is turned by it.

    Args:
        num_elements: number of elements 2n, even.
        axis: angle in degrees, counter-clockwise, by which the lines of the mirrors are turned.
            Lines 180°/n apart are of the same group, so axis is taken modulo that.
            ``E2(2, axis=90)`` mirrors up and down, ``E2(2, axis=45)`` transposes.

    Raises:
        ValueError: an odd number of elements, or fewer than two.
    """

    def __init__(self, num_elements: int, axis: float | Fraction = 0) -> None:
        if num_elements < 2 or num_elements % 2:
            raise ValueError(
                f"E2 counts rotations and mirrored rotations, an even number: got {num_elements}"
            )
        n = self.num_rotations = num_elements // 2
        self.axis = Fraction(axis) % Fraction(180, n)
        element = torch.arange(num_elements, device="cpu")
        mirror, k = element // n, element % n
        # With M = R(α)·diag(1, −1): R(a)·Mˢ · R(b)·Mᵗ = R(a + (−1)ˢb)·Mˢ⁺ᵗ, as M·R(b) = R(−b)·M.
        rotation = (k[:, None] + (1 - 2 * mirror[:, None]) * k) % n
        # A mirror whose line is turned by the axis turns twice as far what the first one mirrors.
        signs = torch.tensor([1.0, -1.0], device="cpu")  # the second column changes sign
        mirrored = rotation_matrices(n, self.axis / 180) * signs
        name = "mz2" if n == 1 else f"p{n}m"
        super().__init__(
            name=f"{name}@{float(self.axis):g}" if self.axis else name,
            multiplication_table=(mirror[:, None] ^ mirror) * n + rotation,
            matrices=torch.cat([rotation_matrices(n), mirrored]) + 0.0,
        )

    def restrict(self, elements: Iterable[int]) -> SE2 | E2:
        """The subgroup of some elements, in their order: rotations only, or with mirrors."""
        chosen = self._closed(elements)
        n = self.num_rotations or 0
        first = next((h - n for h in chosen if h >= n), None)
        if first is None:
            return SE2(len(chosen))
        return E2(len(chosen), self.axis + Fraction(180 * first, n))
