"""Pooling that is equivariant for every size of the image."""

import pytest
import torch

from g_selfatt import groups
from g_selfatt.nn import AvgPool, MaxPool
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
