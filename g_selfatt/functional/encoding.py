"""φ(h, g, m): which row of the group embedding E a query at g and a key at m meet in output h.

A group self-attention layer is equivariant exactly when φ depends on h, g and m through relative
elements only. The published choices are here by name.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from g_selfatt.groups import Group


def group_index(group: Group, group_encoding: str = "equivariant") -> Tensor:
    """The rows of E as a table over output h, query g and key m.

    With u_x = x⁻¹ the element that index x carries, row t is the one with u_t = φ(h, g, m):

    | value       | φ(h, g, m)           | on C_n         | property                              |
    |-------------|----------------------|----------------|---------------------------------------|
    | equivariant | u_h⁻¹u_m             | t = m − h      | as a group convolution's kernel index |
    | relative    | u_g⁻¹u_m             | t = m − g      | independent of h                      |
    | gevit       | (u_m⁻¹u_g)(u_h⁻¹u_g) | t = 2g − m − h | GE-ViT (Xu et al., 2023), any group   |
    | paper       | see below            | t = m − g + h  | the released code; NOT equivariant    |

    The first three are equivariant for every group. ``paper`` reproduces the tables of the code
    that Romero & Cordonnier released, to load its weights and repeat its numbers: on D_n, with
    x = (s, r) the mirror bit and the rotation, s = s_g ⊕ s_h, r = r_g + (−1)^s r_h and
    t = (s_m ⊕ s, r_m − (−1)^(s_m ⊕ s) r).

    Args:
        group: the group.
        group_encoding: name of φ, one of the four.

    Returns:
        ``(|H| of h, |H| of g, |H| of m)`` int64 row numbers.

    Raises:
        ValueError: an unknown name, or ``paper`` on a group that is not SE2 or E2.
    """
    if group_encoding not in _ENCODINGS:
        raise ValueError(
            f"unknown group_encoding {group_encoding!r}; choose one of {', '.join(_ENCODINGS)}"
        )
    x = group.elements
    h, g, m = x[:, None, None], x[None, :, None], x[None, None, :]
    table = _ENCODINGS[group_encoding](group, h, g, m)
    return table.expand(len(x), len(x), len(x)).contiguous()


# With u_x = x⁻¹: u_t = φ means t = φ⁻¹, so that (a·b)⁻¹ = b⁻¹·a⁻¹ turns each φ into a product.


def _equivariant(group: Group, h: Tensor, g: Tensor, m: Tensor) -> Tensor:
    return group.multiplication_table[m, group.inverse_table[h]]  # t = (h m⁻¹)⁻¹ = m h⁻¹


def _relative(group: Group, h: Tensor, g: Tensor, m: Tensor) -> Tensor:
    return group.multiplication_table[m, group.inverse_table[g]]  # t = (g m⁻¹)⁻¹ = m g⁻¹


def _gevit(group: Group, h: Tensor, g: Tensor, m: Tensor) -> Tensor:
    product, inverse = group.multiplication_table, group.inverse_table
    return product[product[g, inverse[h]], product[g, inverse[m]]]  # t = (m g⁻¹ h g⁻¹)⁻¹


def _paper(group: Group, h: Tensor, g: Tensor, m: Tensor) -> Tensor:
    n = group.num_rotations
    if n is None:
        raise ValueError(
            f"group_encoding 'paper' is only defined for SE2 and E2, got {group!r}; "
            "use 'equivariant'"
        )
    if group.num_elements == n:
        return (m - g + h) % n
    mirror = (g // n) ^ (h // n)
    rotation = g % n + (1 - 2 * mirror) * (h % n)
    mirror_t = (m // n) ^ mirror
    return mirror_t * n + (m % n - (1 - 2 * mirror_t) * rotation) % n


_ENCODINGS: dict[str, Callable[[Group, Tensor, Tensor, Tensor], Tensor]] = {
    "equivariant": _equivariant,
    "relative": _relative,
    "gevit": _gevit,
    "paper": _paper,
}
GROUP_ENCODINGS = tuple(_ENCODINGS)
