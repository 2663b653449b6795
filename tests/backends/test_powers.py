"""Powers of two, which the compiled CPU kernels have instead of exponentials."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit

from g_selfatt.backends.numba.lanes import BYTES, load, store
from g_selfatt.backends.numba.powers import HAS_OPERATIONS, by_bits, by_operations


@pytest.fixture(params=[by_bits, by_operations] if HAS_OPERATIONS else [by_bits])
def powers_of_two(request):
    power = request.param

    @njit
    def compute(numbers, lanes):
        out = np.empty_like(numbers)
        for i in range(0, len(numbers), lanes):
            store(out, (i,), power(load(numbers, (i,))))
        return out

    return compute


@pytest.mark.parametrize(("dtype", "lowest"), [(np.float32, -126), (np.float64, -1022)])
def test_powers_of_two_are_within_two_units_in_the_last_place(powers_of_two, dtype, lowest):
    lanes = BYTES // np.dtype(dtype).itemsize
    numbers = np.concatenate([np.linspace(lowest, 0, 2**14), np.linspace(-2, 0, 2**14)])
    numbers = numbers.astype(dtype)
    expected = np.exp2(numbers.astype(np.longdouble))
    units = np.abs(powers_of_two(numbers, lanes) - expected) / np.spacing(expected.astype(dtype))
    assert units.max() < 2
    special = np.array([0, -1, lowest, -np.inf, -(10.0**30), np.nan] * lanes, dtype)
    expected = np.array([1, 0.5, 2.0**lowest, 0, 0, np.nan] * lanes, dtype)
    np.testing.assert_array_equal(powers_of_two(special, lanes), expected)
    tiny = powers_of_two(np.full(lanes, lowest - 1, dtype), lanes)
    assert np.all((tiny >= 0) & (tiny < 2.0**lowest))
