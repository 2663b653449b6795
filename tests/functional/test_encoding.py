import pytest
import torch

from g_selfatt import groups
from g_selfatt.functional import GROUP_ENCODINGS, group_index

EQUIVARIANT = ("equivariant", "relative", "gevit")


def is_invariant(group, table):
    """Whether the table is unchanged when h, g and m are multiplied by one element from the right.

    An input turned by γ moves index x to x·γ⁻¹ (Group.act_on_signal), so this is equivariance.
    """
    product = group.multiplication_table
    return all(
        torch.equal(table, table[product[:, x]][:, product[:, x]][:, :, product[:, x]])
        for x in range(group.num_elements)
    )


@pytest.mark.parametrize("name", ["p4", "p6", "p8", "p12", "mz2", "p4m", "p6m", "p8m"])
def test_which_encodings_are_equivariant(name):
    group = groups.get(name)
    for encoding in GROUP_ENCODINGS:
        expected = encoding in EQUIVARIANT
        assert is_invariant(group, group_index(group, encoding)) == expected, encoding


@pytest.mark.parametrize("n", [1, 4, 6, 9])
def test_index_arithmetic_on_rotations(n):
    group = groups.SE2(n)
    h, g, m = torch.meshgrid(*[torch.arange(n)] * 3, indexing="ij")
    assert torch.equal(group_index(group, "equivariant"), (m - h) % n)
    assert torch.equal(group_index(group, "relative"), (m - g) % n)
    assert torch.equal(group_index(group, "gevit"), (2 * g - m - h) % n)
    assert torch.equal(group_index(group, "paper"), (m - g + h) % n)


def test_rows_carry_the_element_phi_by_matrices():
    """u_t = φ(h, g, m), checked on the matrices of D_3 instead of the tables."""
    group = groups.get("p3m")
    u = group.matrices[group.inverse_table]
    for h in range(6):
        for g in range(6):
            for m in range(6):
                phi = {
                    "equivariant": u[h].T @ u[m],
                    "relative": u[g].T @ u[m],
                    "gevit": (u[m].T @ u[g]) @ (u[h].T @ u[g]),
                }
                for encoding, matrix in phi.items():
                    t = group_index(group, encoding)[h, g, m]
                    torch.testing.assert_close(u[t], matrix)


def test_paper_is_the_table_of_the_released_code_to_the_unit(golden):
    seen = set()
    for case in golden("layers"):
        if case["kind"].startswith("group"):
            ours = group_index(groups.get(case["group"]), "paper")
            assert torch.equal(ours, case["state_dict"]["g_indices"])
            seen.add(case["group"])
    assert seen == {"z2", "p4", "mz2", "p4m"}


def test_unknown_encodings_and_groups_without_an_order_are_refused():
    with pytest.raises(ValueError, match="equivariant, relative, gevit, paper"):
        group_index(groups.get("p4"), "equivarant")
    p2 = groups.get("p2")
    own = groups.Group("own", p2.multiplication_table, p2.matrices)
    with pytest.raises(ValueError, match="only defined for SE2 and E2"):
        group_index(own, "paper")
