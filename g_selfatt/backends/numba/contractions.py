"""The three small matrix products of attention, for one block of queries at a time.

Letters: a is a query or output element, m a key element, c a channel, o an offset of the window,
all per lane (query pixel). With X (a, c), S (a, m, o) and images Y (c, m, position):

    correlate  S[a,m,o]        = start + Σ_c X[a,c]·Y[c,m,p+o]        scores, and ∂/∂weights
    combine    X[a,c]          =     Σ_{m,o} S[a,m,o]·Y[c,m,p+o]      outputs, and ∂/∂query
    scatter    Y[c,m,p+o]     +=       Σ_a   S[a,m,o]·X[a,c]          ∂/∂key, ∂/∂value

Four sums run at a time in registers, of four elements or else of four offsets or channels (beyond
the last, the last is repeated), because each addition to a sum waits for the one before it. Such a
tile loads five registers for four multiply-adds: four of X or S and one of Y. A processor with two
loads and two multiply-adds a cycle is so at four fifths of its peak; eight sums would not fit into
sixteen registers of 32 bytes, of which each of these takes two. `scatter` also stores one.
"""

from __future__ import annotations

from g_selfatt.backends.numba.compiling import inner
from g_selfatt.backends.numba.lanes import across, full, load, multiply_add, spread, store


@inner
def correlate(scores, vectors, images, start, positions, offsets):
    """S[a,m,o] = start[p+o] + Σ_c X[a,c]·Y[c,m,p+o]; X, S in registers, start (position,)."""
    elements, channels = vectors.shape[:2]
    tiled, last = elements - elements % 4, offsets - 1
    for m in range(images.shape[1]):
        for o in range(offsets if tiled else 0):
            at = positions[o]
            first = load(start, (at,))
            for a in range(0, tiled, 4):
                s0, s1, s2, s3 = first, first, first, first
                for c in range(channels):
                    y = load(images, (c, m, at))
                    s0 = multiply_add(load(vectors, (a, c)), y, s0)
                    s1 = multiply_add(load(vectors, (a + 1, c)), y, s1)
                    s2 = multiply_add(load(vectors, (a + 2, c)), y, s2)
                    s3 = multiply_add(load(vectors, (a + 3, c)), y, s3)
                store(scores, (a, m, o), s0)
                store(scores, (a + 1, m, o), s1)
                store(scores, (a + 2, m, o), s2)
                store(scores, (a + 3, m, o), s3)
        for a in range(tiled, elements):
            for o in range(0, offsets, 4):
                o1, o2, o3 = min(o + 1, last), min(o + 2, last), min(o + 3, last)
                p0, p1, p2, p3 = positions[o], positions[o1], positions[o2], positions[o3]
                s0, s1 = load(start, (p0,)), load(start, (p1,))
                s2, s3 = load(start, (p2,)), load(start, (p3,))
                for c in range(channels):
                    x = load(vectors, (a, c))
                    s0 = multiply_add(x, load(images, (c, m, p0)), s0)
                    s1 = multiply_add(x, load(images, (c, m, p1)), s1)
                    s2 = multiply_add(x, load(images, (c, m, p2)), s2)
                    s3 = multiply_add(x, load(images, (c, m, p3)), s3)
                store(scores, (a, m, o), s0)
                store(scores, (a, m, o1), s1)
                store(scores, (a, m, o2), s2)
                store(scores, (a, m, o3), s3)


@inner
def combine(vectors, scores, images, positions, offsets):
    """X[a,c] = Σ_{m,o} S[a,m,o]·Y[c,m,p+o]."""
    elements, channels = vectors.shape[:2]
    zero = full(load(scores, (0, 0, 0)), 0.0)
    tiled = elements - elements % 4
    for a in range(0, tiled, 4):
        for c in range(channels):
            x0, x1, x2, x3 = zero, zero, zero, zero
            for m in range(images.shape[1]):
                for o in range(offsets):
                    y = load(images, (c, m, positions[o]))
                    x0 = multiply_add(load(scores, (a, m, o)), y, x0)
                    x1 = multiply_add(load(scores, (a + 1, m, o)), y, x1)
                    x2 = multiply_add(load(scores, (a + 2, m, o)), y, x2)
                    x3 = multiply_add(load(scores, (a + 3, m, o)), y, x3)
            store(vectors, (a, c), x0)
            store(vectors, (a + 1, c), x1)
            store(vectors, (a + 2, c), x2)
            store(vectors, (a + 3, c), x3)
    for a in range(tiled, elements):
        c = 0
        while c < channels:
            # A channel beyond the last is the last once more.
            c1, c2, c3 = (
                min(c + 1, channels - 1),
                min(c + 2, channels - 1),
                min(c + 3, channels - 1),
            )
            x0, x1, x2, x3 = zero, zero, zero, zero
            for m in range(images.shape[1]):
                for o in range(offsets):
                    s, at = load(scores, (a, m, o)), positions[o]
                    x0 = multiply_add(load(images, (c, m, at)), s, x0)
                    x1 = multiply_add(load(images, (c1, m, at)), s, x1)
                    x2 = multiply_add(load(images, (c2, m, at)), s, x2)
                    x3 = multiply_add(load(images, (c3, m, at)), s, x3)
            store(vectors, (a, c), x0)
            store(vectors, (a, c1), x1)
            store(vectors, (a, c2), x2)
            store(vectors, (a, c3), x3)
            c += 4


@inner
def scatter(images, scores, vectors, positions, offsets):
    """Y[c,m,p+o] += Σ_a S[a,m,o]·X[a,c].

    The offsets outermost: neighbouring ones overlap in memory, and a processor that reads what it
    has only just written, shifted by one, waits.
    """
    elements, channels = vectors.shape[:2]
    tiled = elements - elements % 4
    for o in range(offsets):
        at = positions[o]
        for m in range(images.shape[1]):
            for a in range(0, tiled, 4):
                s0, s1 = load(scores, (a, m, o)), load(scores, (a + 1, m, o))
                s2, s3 = load(scores, (a + 2, m, o)), load(scores, (a + 3, m, o))
                for c in range(channels):
                    y = load(images, (c, m, at))
                    y = multiply_add(s0, load(vectors, (a, c)), y)
                    y = multiply_add(s1, load(vectors, (a + 1, c)), y)
                    y = multiply_add(s2, load(vectors, (a + 2, c)), y)
                    y = multiply_add(s3, load(vectors, (a + 3, c)), y)
                    store(images, (c, m, at), y)
            a = tiled
            while a + 1 < elements:
                s0, s1 = load(scores, (a, m, o)), load(scores, (a + 1, m, o))
                for c in range(channels):
                    y = multiply_add(s0, load(vectors, (a, c)), load(images, (c, m, at)))
                    y = multiply_add(s1, load(vectors, (a + 1, c)), y)
                    store(images, (c, m, at), y)
                a += 2
            if a < elements:
                s0 = load(scores, (a, m, o))
                for c in range(channels):
                    y = multiply_add(s0, load(vectors, (a, c)), load(images, (c, m, at)))
                    store(images, (c, m, at), y)


@inner
def correlate_table(scores, vectors, table, rows, count):
    """P[g,s] = Σ_{c<d} X[g,c]·T[s,c], s of the rows in sight; T (rows, d) is for all lanes."""
    elements, depth = vectors.shape[0], table.shape[1]
    tiled, last = elements - elements % 4, count - 1
    zero = full(load(vectors, (0, 0)), 0.0)
    for s in range(count if tiled else 0):
        row = rows[s]
        for g in range(0, tiled, 4):
            s0, s1, s2, s3 = zero, zero, zero, zero
            for c in range(depth):
                t = spread(table, (row, c))
                s0 = multiply_add(load(vectors, (g, c)), t, s0)
                s1 = multiply_add(load(vectors, (g + 1, c)), t, s1)
                s2 = multiply_add(load(vectors, (g + 2, c)), t, s2)
                s3 = multiply_add(load(vectors, (g + 3, c)), t, s3)
            store(scores, (g, s), s0)
            store(scores, (g + 1, s), s1)
            store(scores, (g + 2, s), s2)
            store(scores, (g + 3, s), s3)
    for g in range(tiled, elements):
        for s in range(0, count, 4):
            o1, o2, o3 = min(s + 1, last), min(s + 2, last), min(s + 3, last)
            r0, r1, r2, r3 = rows[s], rows[o1], rows[o2], rows[o3]
            s0, s1, s2, s3 = zero, zero, zero, zero
            for c in range(depth):
                x = load(vectors, (g, c))
                s0 = multiply_add(x, spread(table, (r0, c)), s0)
                s1 = multiply_add(x, spread(table, (r1, c)), s1)
                s2 = multiply_add(x, spread(table, (r2, c)), s2)
                s3 = multiply_add(x, spread(table, (r3, c)), s3)
            store(scores, (g, s), s0)
            store(scores, (g, o1), s1)
            store(scores, (g, o2), s2)
            store(scores, (g, o3), s3)


@inner
def combine_table(vectors, scores, table, rows, count):
    """X[g,c] += Σ_s S[g,s]·T[s,c] for the first d channels, s of the rows in sight."""
    depth = table.shape[1]
    for g in range(vectors.shape[0]):
        c = 0
        while c < depth:
            c1, c2, c3 = min(c + 1, depth - 1), min(c + 2, depth - 1), min(c + 3, depth - 1)
            x0, x1 = load(vectors, (g, c)), load(vectors, (g, c1))
            x2, x3 = load(vectors, (g, c2)), load(vectors, (g, c3))
            for s in range(count):
                score, row = load(scores, (g, s)), rows[s]
                x0 = multiply_add(spread(table, (row, c)), score, x0)
                x1 = multiply_add(spread(table, (row, c1)), score, x1)
                x2 = multiply_add(spread(table, (row, c2)), score, x2)
                x3 = multiply_add(spread(table, (row, c3)), score, x3)
            store(vectors, (g, c), x0)
            store(vectors, (g, c1), x1)
            store(vectors, (g, c2), x2)
            store(vectors, (g, c3), x3)
            c += 4


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
