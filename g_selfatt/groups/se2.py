"""Rotations: the cyclic groups C_n of SE(2), with matrices that are exact where they can be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import torch
from torch import Tensor

from g_selfatt.groups.group import Group


class SE2(Group):
    """The n rotations by 2πk/n, in this order: pn, and z2 for n = 1.

    Args:
        num_elements: number of elements n, at least 1.

    Raises:
        ValueError: fewer than one element.
    """

    def __init__(self, num_elements: int) -> None:
        if num_elements < 1:
            raise ValueError(f"SE2 needs at least 1 element, got {num_elements}")
        self.num_rotations = num_elements
        k = torch.arange(num_elements, device="cpu")
        super().__init__(
            name="z2" if num_elements == 1 else f"p{num_elements}",
            multiplication_table=(k[:, None] + k) % num_elements,
            matrices=rotation_matrices(num_elements),
        )

    def restrict(self, elements: Iterable[int]) -> SE2:
        """The subgroup of some rotations, in their order: pm for a divisor m of n."""
        return SE2(len(self._closed(elements)))


def rotation_matrices(n: int, first: Fraction = Fraction(0)) -> Tensor:
    """The matrices of n rotations on (row, col), ``(n, 2, 2)`` float64.

    Args:
        n: number of rotations, by 1/n of a turn from one to the next.
        first: the first rotation, in turns.
    """
    turns = [(Fraction(k, n) + first) % 1 for k in range(n)]
    pairs = [_cosine_and_sine(turn.numerator, turn.denominator) for turn in turns]
    return torch.tensor([[[c, -s], [s, c]] for c, s in pairs], dtype=torch.float64, device="cpu")


def _cosine_and_sine(k: int, n: int) -> tuple[float, float]:
    """cos and sin of 2πk/n, reduced to the first octant by integer arithmetic.

    Angles that mirror each other on an axis or a diagonal then share their digits, 45° has equal
    cosine and sine, and 0, ½ and 1 are exact. The position MLP divides by the size of a coordinate,
    so a coordinate that should be 0 and is 1e-17 is not a small error (`nn.positional_encoding`).
    """
    quarter, rest = divmod(4 * k, n)  # the angle is quarter·90° + (rest/n)·90°
    mirrored = 2 * rest > n  # beyond 45°: swap cosine and sine of the complement
    eighth = n - rest if mirrored else rest
    cosine, sine = math.cos(math.pi * eighth / (2 * n)), math.sin(math.pi * eighth / (2 * n))
    if 2 * eighth == n:
        cosine = sine = math.sqrt(0.5)
    elif 3 * eighth == n:
        sine = 0.5
    if mirrored:
        cosine, sine = sine, cosine
    for _ in range(quarter):
        cosine, sine = -sine, cosine
    return cosine + 0.0, sine + 0.0  # + 0.0: no negative zeros
