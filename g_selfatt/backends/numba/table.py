"""Equal rows of the positional table: the scores of a row are computed once.

An element h that maps the pixel grid to itself permutes the offsets, P[h, δ] = T[h·δ], so that p4
has K different rows and not 4·K. The attention is given the table and not the group; what is equal
it sees in the numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MULTIPLIER = 0x9E3779B97F4A7C15  # any odd number with many ones
MOST_SHAPES = 64
_last_found: dict[tuple[int, ...], tuple[NDArray, NDArray]] = {}
"""What `_find` said of the last table of a shape; the next one is likely of the same group."""


def unique_rows(table: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """Each row of ``(|H|, K, d)`` once, ``(rows, d)``, and where each is now, ``(|H|, K)``."""
    elements, offsets, depth = table.shape
    flat = table.reshape(elements * offsets, depth)
    if elements == 1:
        return flat, np.arange(offsets).reshape(1, -1)
    found = _last_found.get(table.shape)
    if found is None or not _holds(flat, *found):
        if len(_last_found) >= MOST_SHAPES:
            _last_found.clear()
        found = _last_found[table.shape] = _find(flat)
    first, rows = found
    return flat[first], rows.reshape(elements, offsets)


def _find(flat: NDArray) -> tuple[NDArray, NDArray]:
    """The first of each set of equal rows, and the set of each row."""
    _, first, rows = np.unique(_hashes(flat), return_index=True, return_inverse=True)
    if not np.array_equal(flat[first[rows]], flat):  # two rows of one hash
        first = rows = np.arange(len(flat))
    return first, rows


def _holds(flat: NDArray, first: NDArray, rows: NDArray) -> bool:
    """Whether all rows of a set are equal, and the sets are different."""
    chosen = flat[first]
    return np.array_equal(chosen[rows], flat) and len(set(_hashes(chosen).tolist())) == len(first)


def _hashes(flat: NDArray) -> NDArray[np.uint64]:
    words = flat.view(f"u{flat.itemsize}").astype(np.uint64)
    words ^= words >> np.uint64(32)  # low bits, which decide most of a product, are often zero
    odd = np.array([pow(MULTIPLIER, k + 1, 2**64) for k in range(flat.shape[1])], np.uint64)
    return (words * odd).sum(axis=1)
