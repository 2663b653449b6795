"""Equal rows of the positional table: the scores of a row are computed once.

An element h that maps the pixel grid to itself permutes the offsets, P[h, δ] = T[h·δ], so that p4
has K different rows and not 4·K. The attention is given the table and not the group; what is equal
it sees in the numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MULTIPLIER = 0x9E3779B97F4A7C15  # any odd number with many ones


def unique_rows(table: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """Each row of ``(|H|, K, d)`` once, ``(rows, d)``, and where each is now, ``(|H|, K)``."""
    elements, offsets, depth = table.shape
    flat = table.reshape(elements * offsets, depth)
    if elements == 1:
        return flat, np.arange(offsets).reshape(1, -1)
    words = flat.view(f"u{table.itemsize}").astype(np.uint64)
    words ^= words >> np.uint64(32)  # low bits, which decide most of a product, are often zero
    odd = np.array([pow(MULTIPLIER, k + 1, 2**64) for k in range(depth)], np.uint64)
    _, first, rows = np.unique((words * odd).sum(axis=1), return_index=True, return_inverse=True)
    if not np.array_equal(flat[first[rows]], flat):  # two rows of one hash
        first = rows = np.arange(len(flat))
    return np.ascontiguousarray(flat[first]), rows.reshape(elements, offsets)
