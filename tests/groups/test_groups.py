import math
import re
from pathlib import Path

import pytest
import torch

from g_selfatt import groups
from g_selfatt.groups import E2, SE2, Group, tables

NAMES = ["z2", "mz2", "p2", "p4", "p6", "p8", "p12", "p16", "p4m", "p6m", "p8m"]


@pytest.mark.parametrize("name", NAMES)
def test_the_axioms_hold(name):
    group = groups.get(name)
    product, inverse, e = group.multiplication_table, group.inverse_table, group.identity
    x = group.elements
    assert (product[e] == x).all() and (product[:, e] == x).all()
    assert (product[x, inverse] == e).all() and (product[inverse, x] == e).all()
    a, b, c = x[:, None, None], x[None, :, None], x[None, None, :]
    assert (product[product[a, b], c] == product[a, product[b, c]]).all()


@pytest.mark.parametrize("name", NAMES)
def test_matrices_are_the_angles_and_mirrors_of_the_convention(name):
    group = groups.get(name)
    n = group.num_rotations
    for h, matrix in enumerate(group.matrices):
        angle, mirror = 2 * math.pi * (h % n) / n, -1.0 if h >= n else 1.0
        rotation = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        ).double()
        expected = rotation @ torch.diag(torch.tensor([1.0, mirror]).double())
        torch.testing.assert_close(matrix, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", ["p4", "p8", "p12", "p16", "p4m", "p8m"])
def test_matrices_are_exact_where_they_can_be(name):
    group = groups.get(name)
    # The quarter turn permutes the entries of every matrix without touching a digit.
    quarter = group.num_rotations // 4
    for h in range(group.num_elements):
        turned = group.matrices[group.multiplication_table[h, quarter]]
        expected = torch.stack([group.matrices[h][:, 1], -group.matrices[h][:, 0]], dim=1)
        assert torch.equal(turned, expected + 0.0)
    assert torch.equal(group.matrices[quarter], torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double())


def test_diagonals_meet_exactly_at_45_degrees_and_half_is_half_at_30():
    # An offset on the diagonal turned by 45° must land on the axis, not 1e-17 beside it.
    turned = groups.get("p8").left_action_on_Rd(1, torch.tensor([3.0, 3.0]).double())
    assert turned[0] == 0.0
    assert groups.get("p12").matrices[1, 1, 0] == 0.5
    assert groups.get("p12").matrices[2, 0, 0] == 0.5


def test_sizes_and_names():
    assert [groups.get(n).num_elements for n in NAMES] == [1, 2, 2, 4, 6, 8, 12, 16, 8, 12, 16]
    assert [groups.get(n).name for n in NAMES] == NAMES
    assert groups.get("P4M").name == "p4m"
    assert SE2(1).name == "z2" and E2(2).name == "mz2"


def test_the_documented_orders_and_elements_that_keep_the_grid():
    text = (Path(__file__).parents[2] / "docs" / "groups.md").read_text()
    rows = re.findall(r"^\| `(\S+)` \| (\d+) \| ([\d, ]+|all) \|$", text, re.MULTILINE)
    assert len(rows) == 20
    for name, order, kept in rows:
        matrices = groups.get(name).matrices
        # By rounding, where the library asks for whole numbers to the bit.
        whole = (matrices - matrices.round()).abs().amax(dim=(1, 2)) < 1e-9
        elements = whole.nonzero().flatten().tolist()
        assert (len(matrices), elements) == (
            int(order),
            list(range(int(order))) if kept == "all" else [int(k) for k in kept.split(", ")],
        )
        assert tuple(elements) == groups.get(name).grid_elements


@pytest.mark.parametrize("n", range(1, 65))
def test_groups_of_any_order_by_name(n):
    cyclic, dihedral = groups.get(f"c{n}"), groups.get(f"d{n}")
    assert (cyclic.num_elements, dihedral.num_elements) == (n, 2 * n)
    steps = cyclic.matrices[1 % n].matrix_power(n)
    torch.testing.assert_close(steps, torch.eye(2).double(), rtol=0, atol=1e-13)
    assert len(cyclic.grid_elements) == math.gcd(n, 4)
    assert len(dihedral.grid_elements) == 2 * math.gcd(n, 4)


def test_dihedral_product_worked_by_hand():
    # Mirror after a quarter turn is a turn the other way after the mirror: M·R = R⁻¹·M.
    p4m = E2(8)
    mirror, quarter = 4, 1
    assert p4m.multiplication_table[mirror, quarter] == 4 + 3
    assert p4m.multiplication_table[quarter, mirror] == 4 + 1
    assert p4m.inverse_table.tolist() == [0, 3, 2, 1, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("z2", (False, False)),
        ("mz2", (False, True)),
        ("mz2@90", (True, False)),
        ("mz2@30", (True, True)),
        ("mz2@45", (False, False)),  # rows become columns, the first the first
        ("mz2@135", (True, True)),
        ("p3", (True, True)),
        ("p4m", (True, True)),
    ],
)
def test_which_axes_are_turned_or_mirrored(name, axes):
    assert groups.get(name).moved_axes == axes


def test_actions():
    p4 = SE2(4)
    # (row, col) = (1, 0), one pixel down, goes to (0, 1), one pixel right: R(90°) on (row, col).
    down = torch.tensor([1.0, 0.0])
    assert p4.left_action_on_Rd(1, down).tolist() == [0.0, 1.0]
    assert p4.left_action_on_Rd(1, down.long()).tolist() == [0, 1]
    assert p4.left_action_on_H(1, torch.tensor([0, 1, 2, 3])).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("name", ["p4", "p4m", "p8m"])
@pytest.mark.parametrize("shape", [(1, 2, 5, 4), (1, 2, 0, 5, 4)])
def test_acting_on_signals_is_a_left_action(name, shape):
    group = groups.get(name)
    f = torch.rand([n or group.num_elements for n in shape])
    for a in group.grid_elements:
        for b in group.grid_elements:
            both = group.act_on_signal(group.act_on_signal(f, b), a)
            ab = int(group.multiplication_table[a, b])
            assert torch.equal(both, group.act_on_signal(f, ab))


def test_acting_on_a_plane_moves_pixels_as_the_matrix_moves_positions():
    for group in (SE2(4), E2(8)):
        for h in range(group.num_elements):
            f = torch.zeros(1, 1, 5, 5)
            f[0, 0, 0, 1] = 1  # at (−2, −1) from the centre
            row, col = (group.matrices[h] @ torch.tensor([-2.0, -1.0]).double() + 2).int().tolist()
            assert group.act_on_signal(f, h)[0, 0, row, col] == 1


@pytest.mark.parametrize("name", ["nonsense", "p0", "p4x", "", "q4"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown group"):
        groups.get(name)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        SE2(0)
    with pytest.raises(ValueError, match="even"):
        E2(3)


def test_a_group_of_ones_own_is_checked():
    flip = torch.stack([torch.eye(2), torch.diag(torch.tensor([-1.0, 1.0]))])
    table = torch.tensor([[0, 1], [1, 0]])
    up_down = Group("up-down", table, flip)
    assert up_down.inverse_table.tolist() == [0, 1] and up_down.grid_elements == (0, 1)
    with pytest.raises(ValueError, match="do not multiply"):
        Group("wrong matrices", table, flip.flip(0))
    with pytest.raises(ValueError, match="must be changed to pixels"):  # of a hexagonal lattice
        third = torch.tensor([[0.0, -1.0], [1.0, -1.0]])
        Group(
            "p3",
            groups.get("p3").multiplication_table,
            torch.stack([third**0, third, third @ third]),
        )
    of_lists = Group("up-down", table.tolist(), flip.tolist())
    assert torch.equal(of_lists.matrices, up_down.matrices)
    angles = torch.arange(4).double() * torch.pi / 2
    by_angles = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=1)
    p4 = Group("by angles", groups.get("p4").multiplication_table, by_angles.view(4, 2, 2))
    assert p4.grid_elements == (0, 1, 2, 3) and torch.equal(p4.matrices, p4.matrices.round())
    rounded = groups.get("p6").matrices.float()  # √3/2 is 1e-8 away
    with pytest.raises(ValueError, match="must be float64"):
        Group("rounded", groups.get("p6").multiplication_table, rounded)
    with pytest.raises(ValueError, match="once"):
        Group("not a group", torch.tensor([[0, 0], [0, 0]]), flip)
    with pytest.raises(ValueError, match="every column"):  # associative, with an identity
        Group("no inverses", torch.tensor([[0, 1], [0, 1]]), torch.eye(2).expand(2, 2, 2))
    with pytest.raises(ValueError, match="associative"):
        square = torch.tensor([[0, 2, 1], [2, 1, 0], [1, 0, 2]])  # a Latin square, no group
        Group("a quasigroup", square, torch.eye(2).expand(3, 2, 2))
    with pytest.raises(ValueError, match="act_on_signal"):
        up_down.act_on_signal(torch.zeros(1, 1, 3, 4, 4), 0)


def test_a_group_keeps_a_limited_number_of_tables(monkeypatch):
    monkeypatch.setattr(tables, "MOST_TABLES", 3)
    group, computed = groups.get("p4").restrict(range(4)), []
    for key in (1, 2, 3, 1, 4, 2, 3, 1):
        table = tables.cached_table(
            group, key, lambda key=key: computed.append(key) or torch.tensor(key)
        )
        assert table.item() == key and len(group._tables) <= 3
    assert computed == [1, 2, 3, 4, 1]  # 1 was the oldest
