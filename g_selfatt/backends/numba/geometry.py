"""Where pixels lie in the kernels' padded images, and which registers of queries to visit.

An image is stored as one line of numbers: its rows, each followed by enough zeros, with zeros
before and after. The key at offset δ from the query at position p is then at p + (a constant of δ),
also for all neighbouring queries of a register at once, and also where these sit in two rows.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """A layout of the image and the blocks of `lanes` queries that cover it.

    Attributes:
        size: (H, W).
        window: (K_h, K_w), odd, no offset that two pixels never have.
        stride: positions from one row to the next.
        margin: positions before the first pixel, and after the last row.
        blocks: int64 ``(blocks, 5)``: first position, then the rows [top, bottom) and the columns
            [left, right) of the window that hold keys of at least one of the block's queries.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    stride: int
    margin: int
    blocks: NDArray[np.int64]

    @property
    def length(self) -> int:
        """Positions in all."""
        return self.size[0] * self.stride + 2 * self.margin

    @functools.cached_property
    def inside(self) -> NDArray[np.bool_]:
        """``(length,)``: which positions are pixels."""
        rows, columns = np.divmod(np.arange(self.length) - self.margin, self.stride)
        return (rows >= 0) & (rows < self.size[0]) & (columns < self.size[1])


@functools.lru_cache(maxsize=256)
def plan(size: tuple[int, int], window: tuple[int, int], lanes: int) -> Geometry:
    """The cheaper of two ways to cover the image: through the rows' ends, or row by row.

    The result is shared between calls: do not write to it.
    """
    height, width = size
    reach = window[1] // 2
    through = width + reach
    by_row = max(through, -(-width // lanes) * lanes)
    rows, columns = np.arange(height)[:, None], np.arange(0, width, lanes)
    candidates = [
        _cover(size, window, through, np.arange(0, height * through, lanes), lanes),
        _cover(size, window, by_row, (rows * by_row + columns).ravel(), lanes),
    ]
    return min(candidates, key=lambda geometry: _visits(geometry.blocks))


def _visits(blocks: NDArray[np.int64]) -> int:
    """How many (register, offset) pairs there are to compute."""
    return int(((blocks[:, 2] - blocks[:, 1]) * (blocks[:, 4] - blocks[:, 3])).sum())


def _cover(
    size: tuple[int, int],
    window: tuple[int, int],
    stride: int,
    starts: NDArray[np.int64],
    lanes: int,
) -> Geometry:
    height, width = size
    rows, columns = np.divmod(starts[:, None] + np.arange(lanes), stride)  # (blocks, lanes)
    real = (columns < width) & (rows < height)
    spanned = 1 + int((rows.max(axis=1) - rows.min(axis=1)).max())

    def extent(
        position: NDArray[np.int64], length: int, side: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last + 1 offset, as window index, that reaches the image from a query."""
        reach = side // 2
        last = np.where(real, position, -1).max(axis=1)
        first = np.where(real, position, length).min(axis=1)
        return np.maximum(reach - last, 0), np.minimum(reach + length - first, side)

    edges = (*extent(rows, height, window[0]), *extent(columns, width, window[1]))
    margin = min(window[0] // 2, spanned) * stride + window[1] // 2 + lanes
    blocks = np.stack([starts + margin, *edges], axis=1)[real.any(axis=1)]
    return Geometry(size, window, stride, margin, np.ascontiguousarray(blocks))
