"""Pooling that is equivariant for every size of the image."""

import pytest
import torch

from g_selfatt import groups
from g_selfatt.nn import AvgPool, GroupConv, GroupPool, LiftConv, MaxPool, Restrict
from g_selfatt.testing import assert_equivariant


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (6, 7), (1, 5), (2, 1)])
@pytest.mark.parametrize("axes", [(3,), (3, 8)])
@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
def test_it_is_equivariant_for_every_size(pool, axes, shape):
    x = torch.randn(2, *axes, *shape, dtype=torch.float64)
    assert pool()(x).shape == (2, *axes, -(-shape[0] // 2), -(-shape[1] // 2))
    assert_equivariant(pool(), groups.get("p4m"), x)


def test_even_sides_are_pooled_in_pairs():
    x = torch.randn(2, 3, 4, 6, 8)
    pairs = x.unflatten(-1, (4, 2)).unflatten(-3, (3, 2))  # (…, 3, 2, 4, 2)
    assert torch.equal(MaxPool()(x), pairs.amax(dim=(-3, -1)))
    torch.testing.assert_close(AvgPool()(x), pairs.mean(dim=(-3, -1)))


def test_odd_sides_are_pooled_around_every_second_pixel():
    x = torch.arange(5.0).expand(1, 1, 5, 5)
    assert MaxPool()(x)[0, 0, 0].tolist() == [1, 3, 4]
    assert AvgPool()(x)[0, 0, 0].tolist() == [0.5, 2, 3.5]


@pytest.mark.parametrize("stride", [1, 3, 4, 5])
@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
def test_any_stride_is_equivariant_for_every_size(pool, stride):
    for height in range(1, 2 * stride + 2):
        x = torch.randn(1, 2, 4, height, 7, dtype=torch.float64)
        out = pool(stride)(x)
        assert out.shape[-2:] == (-(-height // stride), -(-7 // stride))
        assert_equivariant(pool(stride), groups.get("p4"), x)
    with pytest.raises(ValueError, match="stride must be a whole number of at least 1, got 0"):
        pool(0)


@pytest.mark.parametrize(("reduction", "reference"), [("max", torch.amax), ("mean", torch.mean)])
def test_group_pooling_leaves_a_map_that_turns_with_the_image(reduction, reference):
    x = torch.randn(2, 3, 8, 5, 6, dtype=torch.float64)
    pool = GroupPool(reduction)
    assert torch.equal(pool(x), reference(x, dim=2))
    network = torch.nn.Sequential(LiftConv("p4m", 3, 4, 3), pool).double()
    assert_equivariant(network, "p4m", x[:, :, 0])
    with pytest.raises(ValueError, match="unknown reduction 'min'; choose one of max, mean"):
        GroupPool("min")
    with pytest.raises(ValueError, match=r"takes \(B, C, \|H\|, H, W\), got \(2, 3, 5, 6\)"):
        pool(x[:, :, 0])


@pytest.mark.parametrize("name", ["p4m", "p8"])
def test_restricted_maps_are_equivariant_to_the_subgroup(name):
    group = groups.get(name)
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64)
    for elements in group.subgroups():
        restrict = Restrict(group, elements)
        lift, conv = LiftConv(group, 2, 4, 3), GroupConv(restrict.subgroup, 4, 4, 3)
        network = torch.nn.Sequential(lift, restrict, conv).double()
        assert network(x).shape == (1, 4, len(elements), 7, 6)
        assert_equivariant(network, restrict.subgroup, x)
    with pytest.raises(ValueError, match="takes .B, C, 8, H, W., got"):
        restrict(x)
    with pytest.raises(ValueError, match="is no subgroup of"):
        Restrict(group, [0, 1])
