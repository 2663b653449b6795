"""The three small matrix products of attention, for one block of queries at a time.

Letters: a is a query or output element, m a key element, c a channel, o an offset of the window,
all per lane (query pixel). With X (a, c), S (a, m, o) and images Y (c, m, position):

    correlate  S[a,m,o]        = start + Σ_c X[a,c]·Y[c,m,p+o]        scores, and ∂/∂weights
    combine    X[a,c]          =     Σ_{m,o} S[a,m,o]·Y[c,m,p+o]      outputs, and ∂/∂query
    scatter    Y[c,m,p+o]     +=       Σ_a   S[a,m,o]·X[a,c]          ∂/∂key, ∂/∂value

Each runs in tiles (see `tiles`) of elements a times offsets, channels or key elements. The first
two keep the sums of an r × s tile in registers and load r + s registers for r·s multiply-adds: half
a load for each where the tile is 4 × 5, and 0.75 where it is 4 × 2. `scatter` keeps S of r elements
and s neighbours in a row of the window: five, or two where AVX2 takes four elements. What these add
to Y overlaps, but for one lane in each step: it is added up in registers, and for each channel r of
X are loaded, and of Y one register and a rest of s − 1 numbers are loaded and stored.
"""

from __future__ import annotations

from g_selfatt.backends.numba.compiling import inner
from g_selfatt.backends.numba.lanes import full, load
from g_selfatt.backends.numba.tiles import (
    add_row,
    loads,
    outer_add,
    picks,
    repeated,
    spreads,
    stores,
    strided,
    tiled,
)


@tiled
def _correlate(elements, these, scores, vectors, images, start, positions, m):
    at = picks(positions, these)
    sums = repeated(elements, loads(start, (at,)))
    for c in range(vectors.shape[1]):
        sums = outer_add(sums, loads(vectors, (elements, c)), loads(images, (c, m, at)))
    stores(scores, (elements, m, these), sums)


@inner
def correlate(scores, vectors, images, start, positions, offsets):
    """S[a,m,o] = start[p+o] + Σ_c X[a,c]·Y[c,m,p+o]; X, S in registers, start (position,)."""
    for m in range(images.shape[1]):
        _correlate(vectors.shape[0], offsets, scores, vectors, images, start, positions, m)


@tiled
def _combine(elements, channels, vectors, scores, images, positions, offsets):
    sums = repeated(elements, repeated(channels, (full(load(scores, (0, 0, 0)), 0.0),)))
    for m in range(images.shape[1]):
        for o in range(offsets):
            y = loads(images, (channels, m, positions[o]))
            sums = outer_add(sums, loads(scores, (elements, m, o)), y)
    stores(vectors, (elements, channels), sums)


@inner
def combine(vectors, scores, images, positions, offsets):
    """X[a,c] = Σ_{m,o} S[a,m,o]·Y[c,m,p+o]."""
    _combine(*vectors.shape[:2], vectors, scores, images, positions, offsets)


@tiled
def _scatter(elements, columns, images, scores, vectors, positions, rows, zero, m):
    for i in range(rows):
        these = strided(columns, rows, i)
        s, at = loads(scores, (elements, m, these)), positions[these[0]]
        for c in range(vectors.shape[1]):
            add_row(images, (c, m, at), loads(vectors, (elements, c)), s, zero)


@inner
def scatter(images, scores, vectors, positions, rows, columns):
    """Y[c,m,p+o] += Σ_a S[a,m,o]·X[a,c]; o goes down these columns of the window, one by one."""
    zero = load(images, (0, 0, 0))  # before the first pixel
    for m in range(images.shape[1]):
        _scatter(vectors.shape[0], columns, images, scores, vectors, positions, rows, zero, m)


@tiled
def _correlate_table(elements, these, scores, vectors, table, rows):
    at = picks(rows, these)
    sums = repeated(elements, repeated(these, (full(load(vectors, (0, 0)), 0.0),)))
    for c in range(table.shape[1]):
        sums = outer_add(sums, loads(vectors, (elements, c)), spreads(table, (at, c)))
    stores(scores, (elements, these), sums)


@inner
def correlate_table(scores, vectors, table, rows, count):
    """P[g,s] = Σ_{c<d} X[g,c]·T[s,c], s of the rows in sight; T (rows, d) is for all lanes."""
    _correlate_table(vectors.shape[0], count, scores, vectors, table, rows)


@tiled
def _combine_table(elements, channels, vectors, scores, table, rows, count):
    sums = loads(vectors, (elements, channels))
    for s in range(count):
        t = spreads(table, (rows[s], channels))
        sums = outer_add(sums, loads(scores, (elements, s)), t)
    stores(vectors, (elements, channels), sums)


@inner
def combine_table(vectors, scores, table, rows, count):
    """X[g,c] += Σ_s S[g,s]·T[s,c] for the first d channels, s of the rows in sight."""
    _combine_table(vectors.shape[0], table.shape[1], vectors, scores, table, rows, count)


@tiled
def _scatter_table(these, channels, table, scores, vectors, ids, h, count):
    at = picks(ids, these)
    sums = loads(table, (h, at, channels))
    for g in range(count):
        sums = outer_add(sums, loads(scores, (h, g, these)), loads(vectors, (g, channels)))
    stores(table, (h, at, channels), sums)


@inner
def scatter_table(table, scores, vectors, ids, offsets, count):
    """T[h,o,c] += Σ_{g < count} S[h,g,o]·X[g,c]; S and T (|H|, K, d) in registers."""
    for h in range(table.shape[0]):
        _scatter_table(offsets, table.shape[2], table, scores, vectors, ids, h, count)
