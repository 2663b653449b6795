"""Equal rows of the positional table."""

import numpy as np
import pytest

pytest.importorskip("numba")

from g_selfatt import groups, nn
from g_selfatt.backends.numba.table import MULTIPLIER, unique_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_come_back(dtype):
    rng = np.random.default_rng(0)
    table = rng.integers(-2, 2, (4, 9, 2)).astype(dtype)  # round numbers, whose low bits are zero
    rows, which = unique_rows(table)
    np.testing.assert_array_equal(rows[which], table)
    assert len(rows) == len(np.unique(table.reshape(-1, 2), axis=0))


def test_rows_of_one_hash_stay_apart():
    mixed = 2**64 - MULTIPLIER  # x·a + 1·a² = 0 for x = −a, as for zeros
    words = np.array([[[0, 0]], [[mixed ^ (mixed >> 32), 1]]], np.uint64)
    rows, which = unique_rows(words.view(np.float64))
    np.testing.assert_array_equal(rows[which].view(np.uint64), words)
    assert len(rows) == 2


@pytest.mark.parametrize(("group", "times"), [("p4", 4), ("p4m", 8), ("mz2", 2), ("z2", 1)])
def test_elements_that_keep_the_grid_share_all_rows(group, times):
    layer = nn.GroupLocalSelfAttention(groups.get(group), 4, 6, 4, 2, 5)
    layer.row_embedding.spread(10.0)
    layer.col_embedding.spread(10.0)
    table = layer._encode_positions((5, 5)).detach().flatten(2).mT.contiguous().numpy()
    rows, _ = unique_rows(table)
    assert times * len(rows) == table.shape[0] * table.shape[1]


def test_an_empty_encoding_is_one_row():
    rows, which = unique_rows(np.empty((4, 9, 0)))
    assert rows.shape == (1, 0) and which.shape == (4, 9) and not which.any()


def test_tables_of_one_shape_may_have_other_equal_rows():
    """What was found for a table is tried on the next one."""
    different = np.arange(16.0).reshape(2, 4, 2)
    flipped = np.stack([different[0], different[0, ::-1]])
    moved = np.stack([different[0], np.roll(different[0], 1, axis=0)])
    for table, count in ((different, 8), (flipped, 4), (moved, 4), (0 * moved, 1), (different, 8)):
        for again in (table, table + 1):
            rows, which = unique_rows(again)
            np.testing.assert_array_equal(rows[which], again)
            assert len(rows) == count
