"""The three small matrix products of attention, for one block of queries at a time.

Letters: a is a query or output element, m a key element, c a channel, o an offset of the window,
all per lane (query pixel). With X (a, c), S (a, m, o) and images Y (c, m, position):

    correlate  S[a,m,o]        = start + Σ_c X[a,c]·Y[c,m,p+o]        scores, and ∂/∂weights
    combine    X[a,c]          =     Σ_{m,o} S[a,m,o]·Y[c,m,p+o]      outputs, and ∂/∂query
    scatter    Y[c,m,p+o]     +=       Σ_a   S[a,m,o]·X[a,c]          ∂/∂key, ∂/∂value

Each runs in tiles (see `tiles`) of elements a times offsets, channels or key elements. The first
two keep the sums of an r × s tile in registers and load r + s registers for r·s multiply-adds: half
a load for each where the tile is 4 × 4, and 1.25 where it is 4 × 1. `scatter` keeps r × s of S, and
for each channel loads r of X and s of Y and stores s. Its offsets go down the columns of the
window: neighbours in a row overlap in memory, and a processor that reads what it has only just
written, shifted by one, waits.
"""

from __future__ import annotations

from g_selfatt.backends.numba.compiling import inner
from g_selfatt.backends.numba.lanes import across, full, load, multiply_add
from g_selfatt.backends.numba.tiles import (
    inner_add,
    loads,
    outer_add,
    picks,
    repeated,
    spreads,
    stores,
    tiled,
)


@tiled
def _correlate(elements, these, scores, vectors, images, start, positions):
    at = picks(positions, these)
    first = repeated(elements, loads(start, (at,)))
    for m in range(images.shape[1]):
        sums = first
        for c in range(vectors.shape[1]):
            sums = outer_add(sums, loads(vectors, (elements, c)), loads(images, (c, m, at)))
        stores(scores, (elements, m, these), sums)


@inner
def correlate(scores, vectors, images, start, positions, offsets):
    """S[a,m,o] = start[p+o] + Σ_c X[a,c]·Y[c,m,p+o]; X, S in registers, start (position,)."""
    _correlate(vectors.shape[0], offsets, scores, vectors, images, start, positions)


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
def _scatter(elements, keys, images, scores, vectors, positions, offsets):
    for o in range(offsets):
        s, at = loads(scores, (elements, keys, o)), positions[o]
        for c in range(vectors.shape[1]):
            y = loads(images, (c, keys, at))
            stores(images, (c, keys, at), inner_add(y, loads(vectors, (elements, c)), s))


@inner
def scatter(images, scores, vectors, positions, offsets):
    """Y[c,m,p+o] += Σ_a S[a,m,o]·X[a,c]."""
    _scatter(vectors.shape[0], images.shape[1], images, scores, vectors, positions, offsets)


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


@inner
def scatter_table(table, scores, vectors, ids, offsets):
    """T[h,o,c] += Σ_g S[h,g,o]·X[g,c], summed over the lanes; T (|H|, K, d) in single numbers."""
    elements, depth = vectors.shape[0], table.shape[2]
    tiled = elements - elements % 4
    zero = full(load(vectors, (0, 0)), 0.0)
    for h in range(table.shape[0]):
        for o in range(offsets):
            w = ids[o]
            for g in range(0, tiled, 4):
                s0, s1 = load(scores, (h, g, o)), load(scores, (h, g + 1, o))
                s2, s3 = load(scores, (h, g + 2, o)), load(scores, (h, g + 3, o))
                for c in range(depth):
                    t = multiply_add(s0, load(vectors, (g, c)), zero)
                    t = multiply_add(s1, load(vectors, (g + 1, c)), t)
                    t = multiply_add(s2, load(vectors, (g + 2, c)), t)
                    t = multiply_add(s3, load(vectors, (g + 3, c)), t)
                    table[h, w, c] += across(t)
            for g in range(tiled, elements):
                s0 = load(scores, (h, g, o))
                for c in range(depth):
                    table[h, w, c] += across(s0 * load(vectors, (g, c)))
