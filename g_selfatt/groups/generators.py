"""The finite group of the plane that some matrices generate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from g_selfatt.groups.e2 import E2
from g_selfatt.groups.se2 import SE2

MOST_ROTATIONS = 64
TOLERANCE = 1e-6  # of the entries of a generator


def from_generators(generators: Sequence[Tensor | Sequence[Sequence[float]]]) -> SE2 | E2:
    """The smallest group that holds some rotations and mirrors.

    A finite group of the plane is cyclic or dihedral, so the group is known from the angles of its
    rotations and of one mirror. Its matrices are computed from these, exact where they can be,
    whatever the digits of the generators. Elements are in the order of `SE2` and `E2`.

    Args:
        generators: orthogonal matrices on (row, col), 2×2, to seven digits or more.

    Raises:
        ValueError: a matrix that is not orthogonal, or matrices that generate a group of more than
            64 rotations or no finite one.
    """
    matrices = [torch.as_tensor(matrix, dtype=torch.float64, device="cpu") for matrix in generators]
    for matrix in matrices:
        if matrix.shape != (2, 2) or not torch.allclose(
            matrix @ matrix.T,
            torch.eye(2, dtype=torch.float64, device="cpu"),
            rtol=0,
            atol=TOLERANCE,
        ):
            raise ValueError(f"expected orthogonal 2×2 matrices, got {matrix.tolist()}")
    # The first column of R(θ), and of R(θ)·diag(1, −1), is (cos θ, sin θ).
    turns = [math.atan2(matrix[1, 0], matrix[0, 0]) / (2 * math.pi) for matrix in matrices]
    mirrors = [turn for turn, matrix in zip(turns, matrices, strict=True) if matrix.det() < 0]
    rotations = [turn for turn, matrix in zip(turns, matrices, strict=True) if matrix.det() > 0]
    # Two mirrors one after the other are a rotation.
    rotations += [mirror - mirrors[0] for mirror in mirrors]
    n = math.lcm(*(_as_fraction(turn, MOST_ROTATIONS).denominator for turn in rotations))
    if n > MOST_ROTATIONS:
        raise ValueError(f"these matrices generate {n} rotations, the most are {MOST_ROTATIONS}")
    if not mirrors:
        return SE2(n)
    return E2(2 * n, 180 * _nearby_fraction(mirrors[0]))


def _as_fraction(turn: float, largest: int) -> Fraction:
    """The fraction of a turn that an angle is; ValueError where it is none."""
    fraction = Fraction(turn).limit_denominator(largest)
    if abs(turn - fraction) > TOLERANCE:
        raise ValueError(
            f"a rotation by {360 * turn:g}° is no fraction k/n of a turn with n ≤ {largest}: "
            "the group would be infinite or too large"
        )
    return fraction


def _nearby_fraction(turn: float) -> Fraction:
    """The fraction k/n, n ≤ 720, that a number of turns is; else the number as it is."""
    fraction = Fraction(turn).limit_denominator(720)
    return fraction if abs(turn - fraction) < TOLERANCE / 10 else Fraction(turn)
