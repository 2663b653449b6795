from itertools import combinations

import pytest
import torch

from g_selfatt import groups


def closed(group, elements):
    table = group.multiplication_table
    return {int(table[a, b]) for a in elements for b in elements} == set(elements)


@pytest.mark.parametrize("name", ["z2", "mz2", "p6", "p4m", "p5m"])
def test_subgroups_are_all_sets_that_are_closed(name):
    group = groups.get(name)
    sets = (
        s for n in range(group.num_elements) for s in combinations(group.elements.tolist(), n + 1)
    )
    assert group.subgroups() == [s for s in sets if closed(group, s)]


@pytest.mark.parametrize("n", [12, 30])
def test_a_dihedral_group_has_as_many_subgroups_as_n_has_divisors_and_their_sum(n):
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    assert len(groups.get(f"d{n}").subgroups()) == len(divisors) + sum(divisors)
    assert len(groups.get(f"c{n}").subgroups()) == len(divisors)


@pytest.mark.parametrize("name", ["p8", "p4m", "p6m", "p2m@45"])
def test_a_restricted_group_has_the_matrices_and_products_of_its_elements(name):
    group = groups.get(name)
    for elements in group.subgroups():
        chosen = list(elements)
        part = group.restrict(elements)
        torch.testing.assert_close(part.matrices, group.matrices[chosen], rtol=0, atol=1e-15)
        assert part.grid_elements == tuple(
            i for i, h in enumerate(chosen) if h in group.grid_elements
        )
        products = torch.tensor(chosen)[part.multiplication_table]
        assert torch.equal(products, group.multiplication_table[chosen][:, chosen])
        assert part.num_rotations is not None  # an SE2 or E2, with a name of its own


def test_subgroups_by_name():
    p4m = groups.get("p4m")
    names = [p4m.restrict(elements).name for elements in p4m.subgroups()]
    assert p4m.restrict(p4m.elements[:4]).name == "p4"  # numbers of a tensor
    assert names == ["z2", "p2", "mz2", "mz2@45", "mz2@90", "mz2@135", "p4", "p2m", "p2m@45", "p4m"]


def test_restricting_a_map_commutes_with_the_action():
    group, elements = groups.get("p4m"), [0, 2, 5, 7]
    part, f = group.restrict(elements), torch.randn(1, 2, 8, 4, 4)
    for i, h in enumerate(elements):
        acted = group.act_on_signal(f, h)[:, :, elements]
        assert torch.equal(acted, part.act_on_signal(f[:, :, elements], i))


def test_a_group_of_ones_own_is_restricted_too():
    p4m = groups.get("p4m")
    own = groups.Group("own", p4m.multiplication_table, p4m.matrices)
    part = own.restrict([4, 0])
    assert part.name == "own[0, 4]" and part.multiplication_table.tolist() == [[0, 1], [1, 0]]


def test_sets_that_are_no_subgroup_are_refused():
    p4m = groups.get("p4m")
    with pytest.raises(ValueError, match=r"\[0, 1\] is no subgroup of p4m.* \[2, 3\] are missing"):
        p4m.restrict([1, 0])
    with pytest.raises(ValueError, match=r"0 … 7, got \[9\]"):
        p4m.restrict([0, 9])
    with pytest.raises(ValueError, match="got none"):
        p4m.restrict([])
