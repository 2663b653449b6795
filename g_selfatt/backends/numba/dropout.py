"""Which attention weights are dropped: a hash of the seed and of the weight's place.

The mask of weight (unit, h, g; m, offset) at a query position is recomputed wherever it is needed,
in forward and in backward, and never stored. Two keys are mixed thoroughly and rarely, one for
(seed, unit, h, g, position) and one for (m, offset); they are joined by two multiplications, the
core of Wellons' lowbias32 hash without its last shift. A hash has 32 bits, and a weight needs 16:
each serves two, one in the first half of a register's lanes and one in the second. That is ten
operations of 32 bytes for the sixteen lanes of float32, and sixteen with a hash for each weight.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint32, uint64

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.lanes import full
from g_selfatt.backends.numba.masks import counters, reaching, shift_right


def steps_of(rate: float) -> int:
    """A rate in [0, 1) as a multiple of 2⁻¹⁶, times 2³²."""
    return min(round(rate * 2**16), 2**16 - 1) * 2**16


@inner
def mix(value):
    """A 64-bit hash of a 64-bit integer (Steele, Lea & Flood's splitmix64)."""
    z = uint64(value) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit
def weight_keys(seed, count):
    """One 32-bit key for each of the (m, offset), ``(count,)``."""
    keys = np.empty(count, np.uint32)
    for i in range(count):
        keys[i] = uint32(mix(mix(seed) + uint64(i)) >> uint64(32))
    return keys


@inner
def query_keys(like, seed, row, position):
    """One 32-bit key for each two lanes, for a row (unit, h, g) and the lanes' positions."""
    key = mix(uint64(seed) ^ mix(uint64(row)))
    bits = counters(like, position) + full(counters(like, 0), uint32(key))
    bits = (bits ^ shift_right(bits, 16)) * full(bits, uint32(0x21F0AAAD))
    bits = (bits ^ shift_right(bits, 15)) * full(bits, uint32(0xD35A2D97))
    return bits ^ shift_right(bits, 15) ^ full(bits, uint32(key >> uint64(32)))


@inlined
def kept_mask(query_key, weight_key, threshold):
    """The mask of the kept lanes; one is dropped with probability threshold / 2³², a `steps_of`."""
    bits = (query_key ^ full(query_key, weight_key)) * full(query_key, uint32(0x21F0AAAD))
    bits = (bits ^ shift_right(bits, 15)) * full(query_key, uint32(0xD35A2D97))
    return reaching(bits, threshold)
