"""A finite group that acts on the plane, as integers: a multiplication table and exact matrices.

Everything else in the library (positions, group encodings, the proof of equivariance) is read off
these two tables, so that no angle is ever compared and nothing depends on rounding.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from operator import index
from typing import Any

import torch
from torch import Tensor

from g_selfatt.groups import signals


class Group:
    """A finite group H of rotations and mirrors of the plane, with elements 0 … |H|−1.

    Element ``h`` acts on a position (row, col) by ``matrices[h]`` and on the group by left
    multiplication, ``h·x = multiplication_table[h, x]``. The feature at index ``h`` of a map on
    the group carries the group element ``u_h = h⁻¹``, because it is the positions that ``h`` acts
    on in the attention (the group action on positional encodings of Romero & Cordonnier, 2021).

    Subclass it, or call it, with a table and matrices of your own to make a new group.

    Args:
        name: name of the group, e.g. ``"p4m"``.
        multiplication_table: table of ``(|H|, |H|)`` integers; ``[a, b]`` is the index of a·b.
        matrices: matrices ``(|H|, 2, 2)`` float64 that act on (row, col). Those of multiples of 90°
            and their mirrors are made exact.

    Attributes:
        grid_elements: the elements that map the pixel grid to itself: multiples of 90° and their
            mirrors.
        moved_axes: whether some of the elements takes the first row to another place than the first
            row or column, and whether the first column; a transposition takes neither.

    Raises:
        ValueError: the tables are not a group, the matrices do not multiply as the table does, or
            they are no rotations and mirrors.
    """

    num_rotations: int | None = None
    """n if the elements are the n rotations by 2πk/n, or these, then the same n after a mirror;
    None for any other order. ``group_encoding="paper"`` is only defined for this order."""

    def __init__(self, name: str, multiplication_table: Tensor, matrices: Tensor) -> None:
        self.name = name
        self.multiplication_table = torch.as_tensor(
            multiplication_table, dtype=torch.int64, device="cpu"
        )
        self.matrices = signals.snap_to_grid(
            torch.as_tensor(matrices, dtype=torch.float64, device="cpu")
        )
        self.identity = _find_identity(name, self.multiplication_table)
        self.inverse_table = (self.multiplication_table == self.identity).int().argmax(dim=1)
        _check_homomorphism(name, self.multiplication_table, self.matrices)
        # Once: torch.compile cannot look into the numbers of a tensor.
        self.inverses: tuple[int, ...] = tuple(self.inverse_table.tolist())
        self.grid_elements: tuple[int, ...] = tuple(
            h for h in range(self.num_elements) if signals.preserves_grid(self.matrices[h])
        )
        moves = ((self.matrices != 0) & (self.matrices != 1)).any(dim=0)
        rows, cols = (moves.any(dim=1) | moves.any(dim=0)).tolist()
        self.moved_axes: tuple[bool, bool] = (rows, cols)
        # For `cached_table`. A dict, because torch.compile sees through one: a network that has run
        # once has its tables as constants of the graph.
        self._tables: dict[Hashable, Tensor] = {}

    @property
    def num_elements(self) -> int:
        """The order |H| of the group."""
        return len(self.multiplication_table)

    @property
    def elements(self) -> Tensor:
        """The elements ``(|H|,)``: the integers 0 … |H|−1."""
        return torch.arange(self.num_elements, device="cpu")

    @property
    def preserves_grid(self) -> bool:
        """Whether every element maps the pixel grid to itself."""
        return len(self.grid_elements) == self.num_elements

    def left_action_on_Rd(self, h: int, pp: Tensor) -> Tensor:
        """Act on positions: ``h·p``.

        Args:
            h: group element.
            pp: positions (row, col), ``(2, …)``, in any unit.

        Returns:
            ``(2, …)``, of the dtype of ``pp``.

        Raises:
            ValueError: integers that h would carry between the pixels.
        """
        if not pp.is_floating_point() and h not in self.grid_elements:
            raise ValueError(
                f"element {h} of {self.name} carries pixels between pixels: expected "
                f"floating-point positions, got {pp.dtype}"
            )
        matrix = self.matrices[h].to(pp)
        # Two products and one sum, not a matmul: equal coordinates must come out equal to the bit.
        return torch.stack([row[0] * pp[0] + row[1] * pp[1] for row in matrix])

    def left_action_on_H(self, h: int, pp_h: Tensor) -> Tensor:
        """Act on group elements: ``h·x`` for every index in ``pp_h``, of the same shape."""
        return self.multiplication_table.to(pp_h.device)[h, pp_h]

    def act_on_signal(self, signal: Tensor, h: int) -> Tensor:
        """What a map becomes when its input is acted on by ``h``: ``[L_h f](p) = f(h⁻¹p)``.

        On a map on the group the group axis moves too: index x of the result shows what index
        x·h showed before, since ``u_{xh} = h⁻¹u_x``: the left-regular representation.
        Exact for the elements that map the pixel grid to itself, bilinear for the others.

        Args:
            signal: map ``(B, C, H, W)`` on the plane or ``(B, C, |H|, H, W)`` on the group.
            h: group element.

        Returns:
            The transformed map; a quarter turn of a map that is not square swaps H and W.

        Raises:
            ValueError: the signal has other axes than these.
        """
        if signal.dim() == 5 and signal.shape[2] == self.num_elements:
            signal = signal[:, :, self.multiplication_table[:, h].to(signal.device)]
        elif signal.dim() != 4:
            raise ValueError(
                f"act_on_signal of {self.name} takes (B, C, H, W) or "
                f"(B, C, {self.num_elements}, H, W), got {tuple(signal.shape)}"
            )
        return signals.transform_plane(signal, self.matrices[h])

    def subgroups(self) -> list[tuple[int, ...]]:
        """All subgroups, each by its elements in order; the smaller first, the whole group last.

        Every subgroup is generated by the cyclic ones in it, which are joined one by one.
        """
        table = self.multiplication_table.tolist()
        cyclic = {_closure(table, {self.identity, h}) for h in range(self.num_elements)}
        found, new = set(cyclic), set(cyclic)
        while new:
            pairs = ((a, b) for a in new for b in cyclic if not b <= a)
            new = {_closure(table, a | b) for a, b in pairs} - found
            found |= new
        return sorted((tuple(sorted(one)) for one in found), key=lambda one: (len(one), one))

    def restrict(self, elements: Iterable[int]) -> Group:
        """The subgroup of some elements, as a group of its own.

        Its element i is the i-th of ``elements`` in increasing order. A map on the group becomes
        one on the subgroup by ``x[:, :, elements]``, which commutes with the subgroup's action.

        Args:
            elements: element numbers, e.g. one of `subgroups`.

        Raises:
            ValueError: they are not a subgroup; the message says what is missing.
        """
        chosen = self._closed(elements)
        position = torch.full((self.num_elements,), -1, device="cpu")
        position[chosen] = torch.arange(len(chosen), device="cpu")
        table = position[self.multiplication_table[chosen][:, chosen]]
        return Group(f"{self.name}{chosen}", table, self.matrices[chosen])

    def _closed(self, elements: Iterable[int]) -> list[int]:
        """The elements in order; ValueError unless they are a subgroup."""
        chosen = {index(h) for h in elements}  # of a tensor too
        unknown = sorted(chosen - set(range(self.num_elements)))
        if unknown or not chosen:
            raise ValueError(
                f"a subgroup of {self.name} has some of the elements 0 … {self.num_elements - 1}, "
                f"got {unknown or 'none'}"
            )
        missing = _closure(self.multiplication_table.tolist(), chosen) - chosen
        if missing:
            raise ValueError(
                f"{sorted(chosen)} is no subgroup of {self.name}: its products {sorted(missing)} "
                "are missing"
            )
        return sorted(chosen)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have no tables yet."""
        return vars(self) | {"_tables": {}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, num_elements={self.num_elements})"


def _closure(table: list[list[int]], elements: Iterable[int]) -> frozenset[int]:
    """The elements and all their products: in a finite group, a subgroup."""
    generators = list(elements)
    closed, new = set(generators), generators
    while new:
        new = list({table[a][b] for a in new for b in generators} - closed)
        closed.update(new)
    return frozenset(closed)


def _find_identity(name: str, table: Tensor) -> int:
    """The identity of the table; ValueError where the table is not that of a group."""
    size = len(table)
    numbers = torch.arange(size, device="cpu")
    if table.shape != (size, size) or not all(
        (lines.sort(dim=1).values == numbers).all() for lines in (table, table.mT)
    ):
        raise ValueError(
            f"group {name}: every row and every column of the multiplication table must list "
            f"0 … {size - 1} once, got a table of shape {tuple(table.shape)}"
        )
    if not (table[table] == table[:, table]).all():
        raise ValueError(f"group {name}: the multiplication table is not associative")
    identities = [e for e in range(size) if (table[e] == numbers).all()]
    if not identities:
        raise ValueError(f"group {name}: the multiplication table has no identity")
    return identities[0]


def _check_homomorphism(name: str, table: Tensor, matrices: Tensor) -> None:
    """ValueError unless the matrices multiply as the table does."""
    if matrices.shape != (len(table), 2, 2):
        raise ValueError(
            f"group {name}: expected matrices ({len(table)}, 2, 2), got {tuple(matrices.shape)}"
        )
    one = torch.eye(2, device="cpu").to(torch.float64)
    if not torch.allclose(matrices @ matrices.mT, one, rtol=0, atol=1e-6):
        raise ValueError(
            f"group {name}: the matrices must be rotations and mirrors of (row, col) in pixels; "
            "those on the coordinates of a lattice must be changed to pixels first"
        )
    products = matrices[:, None] @ matrices[None]  # (|H|, |H|, 2, 2)
    if not torch.allclose(products, matrices[table], rtol=0, atol=1e-12):
        raise ValueError(
            f"group {name}: the matrices do not multiply as the multiplication table; they must be "
            "float64, and exactly ½ where that is what they are"
        )
