"""Which attention weights are dropped: a hash of the seed and of the weight's place.

The mask of weight (unit, h, g; m, offset) at a query position is recomputed wherever it is needed,
in forward and in backward, and never stored. Numbers of 16 bits are mixed thoroughly and rarely:
x for (seed, unit, h, g, position), and a, b for (seed, unit, m, offset). The weight is dropped
where a·x + b modulo 2¹⁶ is below the rate (a multiply-shift hash: Dietzfelbinger et al., 1997).
With a odd, each weight is dropped with the very rate over all x; over different (m, offset) the
hashes of one query are independent, as b is. Two queries of a unit have all masks in common with
probability 2⁻¹⁶, when they draw the same x. That is three operations for a register of queries, of
half its size for float32.
"""

from __future__ import annotations

from numba import njit, uint16, uint32, uint64

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.lanes import full, number
from g_selfatt.backends.numba.masks import counters, halves, reaching, shift_right


@inner
def mix(value):
    """A 64-bit hash of a 64-bit integer (Steele, Lea & Flood's splitmix64)."""
    z = uint64(value) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit
def draw_weight_keys(keys, seed, unit):
    """The numbers a, odd, and b for each of the (m, offset), into ``(|G|·K, 2)``."""
    of_unit = mix(mix(seed) + uint64(unit))
    for i in range(keys.shape[0]):
        mixed = mix(of_unit + uint64(i))
        keys[i, 0] = (mixed >> uint64(32)) | uint64(1)
        keys[i, 1] = mixed >> uint64(48)


@inner
def query_keys(like, seed, row, position):
    """The number x of each lane, for a row (unit, h, g) and the lanes' positions.

    Two lanes share 32 bits, mixed by the core of Wellons' lowbias32 hash.
    """
    key = mix(uint64(seed) ^ mix(uint64(row)))
    bits = counters(like, position) + full(counters(like, 0), uint32(key))
    bits = (bits ^ shift_right(bits, 16)) * full(bits, uint32(0x21F0AAAD))
    bits = (bits ^ shift_right(bits, 15)) * full(bits, uint32(0xD35A2D97))
    return halves(bits ^ shift_right(bits, 15) ^ full(bits, uint32(key >> uint64(32))))


@inlined
def threshold_of(problem, like):
    """The threshold of `kept_mask` for registers like this."""
    return full(halves(counters(like, 0)), uint16(problem.threshold))


@inlined
def kept_mask(query_key, weight_keys, m, o, threshold):
    """The mask of the kept lanes; one is dropped with probability threshold / 2¹⁶."""
    a = full(query_key, number(weight_keys, (m, o, 0)))
    b = full(query_key, number(weight_keys, (m, o, 1)))
    return reaching(query_key * a + b, threshold)
