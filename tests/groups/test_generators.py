import math

import pytest
import torch

from g_selfatt import groups
from g_selfatt.groups import E2, from_generators


def rotation(degrees):
    angle = math.radians(degrees)
    return [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]


def mirror(axis):
    """Of the line that is the vertical one turned by some degrees."""
    (cosine, sine), _ = zip(*rotation(2 * axis), strict=True)
    return [[cosine, sine], [sine, -cosine]]


def products(generators):
    """All products of some matrices, by multiplying until there is nothing new."""
    found, new = [], [torch.eye(2, dtype=torch.float64)]
    while new:
        found += new
        candidates = [m @ torch.tensor(g, dtype=torch.float64) for m in new for g in generators]
        new = []
        for one in candidates:
            if all((one - other).abs().max() > 1e-6 for other in [*found, *new]):
                new.append(one)
    return found


@pytest.mark.parametrize(
    "generators, name",
    [
        ([], "z2"),
        ([rotation(120), rotation(90)], "p12"),
        ([rotation(-144)], "p5"),
        ([rotation(90), mirror(45)], "p4m"),
        ([mirror(0), mirror(60)], "p3m"),
        ([mirror(90)], "mz2@90"),
        ([mirror(10), mirror(100)], "p2m@10"),
        ([mirror(33.3333333)], "mz2@33.3333"),
        ([rotation(360 / 64), mirror(0)], "p64m"),
    ],
)
def test_a_group_is_all_products_of_its_generators(generators, name):
    group = from_generators(generators)
    expected = products(generators)
    assert group.name == name and group.num_elements == len(expected)
    for matrix in expected:
        assert (group.matrices - matrix).abs().amax(dim=(1, 2)).min() < 1e-7


def test_matrices_are_exact_whatever_the_generators_digits():
    rounded = torch.tensor(rotation(90), dtype=torch.float32)  # cos 90° is −4e-8
    assert len(from_generators([rounded]).grid_elements) == 4
    transposed = from_generators([mirror(45)])
    assert transposed.matrices[1].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert transposed.grid_elements == (0, 1)


@pytest.mark.parametrize(
    "generators, message",
    [
        ([[[1.0, 1.0], [0.0, 1.0]]], "expected orthogonal 2×2 matrices"),
        ([[1.0, 0.0]], "expected orthogonal 2×2 matrices"),
        ([[[0.70, -0.71], [0.71, 0.70]]], "expected orthogonal 2×2 matrices"),
        ([rotation(math.degrees(1))], "no fraction k/n of a turn with n ≤ 64"),
        ([mirror(0), mirror(0.3)], "no fraction k/n"),
        ([rotation(360 / 11), rotation(360 / 13)], "generate 143 rotations, the most are 64"),
    ],
)
def test_what_generates_no_small_group_is_refused(generators, message):
    with pytest.raises(ValueError, match=message):
        from_generators(generators)


def test_mirrors_of_any_line_multiply_as_their_matrices():
    for axis in (0, 45, 22.5, 90, 100, 1 / 3):
        group = E2(6, axis)  # a `Group` checks its matrices against its table
        assert (group.matrices[3:].det() < 0).all()
    assert E2(8, 45).name == "p4m"  # the lines of p4m are 45° apart
    assert groups.get("mz2@90").matrices[1].tolist() == [[-1.0, 0.0], [0.0, 1.0]]
    assert groups.get("D3@15").name == "p3m@15" and groups.get("C7").name == "p7"
    with pytest.raises(ValueError, match="unknown group 'p4@45'"):
        groups.get("p4@45")
