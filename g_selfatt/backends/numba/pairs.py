"""The backward's passes over (h, g; m, o), two h and two g at a time.

Four (h, g) share registers of eA and dW, and dP and the sums over o stay in registers; one (h, g)
alone loads and stores W, dA and dP for every (m, o). Two passes, since the first ds needs D, a sum
over all (m, o):

    first      z = Σ_o eP·eA     n = Σ_o mask·eP·eA·dW                         for each (h, g, m)
               Z = Σ_m eU·z      D = Σ_m eU·n / Z      dR = eU/Z·(n − D·z)
    second     p = eA·eP·eU/Z    ds = p·(mask·dW − D)  W = Σ_g mask·p    dA = Σ_h ds   dP = Σ_m ds

Registers for each (h, g, m, o): the first pass loads two for three operations and three of the
dropout's hash, the second loads three and stores one for seven. The masks of the first pass are
kept for the second. There the offsets are outermost, so that what it touches for an offset stays
in the first cache: 6 KB for p4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.dropout import kept_mask, query_keys, threshold_of
from g_selfatt.backends.numba.lanes import (
    any_below,
    full,
    inverse,
    load,
    multiply_add,
    number,
    store,
)
from g_selfatt.backends.numba.masks import masked
from g_selfatt.backends.numba.workspaces import room


class Pairs(NamedTuple):
    """Room for what the second pass needs of the first; the last axis is the lanes."""

    sums: Any  # z and n of four (h, g): (8, |G| of m)
    coefficient: Any  # eU / Z (|H|, |G| of g, |G| of m)
    inner: Any  # −D (|H|, |G| of g)
    kept: Any  # masks, a bit for each lane: (|H|, |G| of g, |G| of m, n), without the last axis


@njit
def make_pairs(problem, workspace, most, lanes):
    """Uninitialized room for blocks with up to ``most`` offsets in sight."""
    outputs, elements = problem.index.shape[:2]
    return Pairs(
        room(workspace, (8, elements, lanes)),
        room(workspace, (outputs, elements, elements, lanes)),
        room(workspace, (outputs, elements, lanes)),
        np.empty((outputs, elements, elements, most if problem.threshold > 0 else 0), np.uint16),
    )


@inlined
def _sums_of_four(problem, scratch, pairs, d_weights, unit, h, g, position, offsets):
    """z and n of (h, g), (h, g + 1), (h + 1, g), (h + 1, g + 1), and their masks."""
    eA, eP, sums, kept = scratch.exp_content, scratch.exp_position, pairs.sums, pairs.kept
    keys, slots = scratch.weight_keys, scratch.slots
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    zero = full(here, 0.0)
    drops = problem.threshold > 0
    threshold = threshold_of(problem, here)
    row = (unit * outputs + h) * elements + g
    q0 = query_keys(here, problem.seed, row, position)
    q1 = query_keys(here, problem.seed, row + 1, position)
    q2 = query_keys(here, problem.seed, row + elements, position)
    q3 = query_keys(here, problem.seed, row + elements + 1, position)
    for m in range(elements):
        z0, z1, z2, z3 = zero, zero, zero, zero
        n0, n1, n2, n3 = zero, zero, zero, zero
        for o in range(offsets):
            a, b = load(eA, (g, m, o)), load(eA, (g + 1, m, o))
            i, j = number(slots, (h, o)), number(slots, (h + 1, o))
            p0, p1 = a * load(eP, (g, i)), b * load(eP, (g + 1, i))
            p2, p3 = a * load(eP, (g, j)), b * load(eP, (g + 1, j))
            z0, z1, z2, z3 = z0 + p0, z1 + p1, z2 + p2, z3 + p3
            if drops:
                k0 = kept_mask(q0, keys, m, o, threshold)
                k1 = kept_mask(q1, keys, m, o, threshold)
                k2 = kept_mask(q2, keys, m, o, threshold)
                k3 = kept_mask(q3, keys, m, o, threshold)
                kept[h, g, m, o], kept[h, g + 1, m, o] = k0, k1
                kept[h + 1, g, m, o], kept[h + 1, g + 1, m, o] = k2, k3
                p0, p1, p2, p3 = masked(p0, k0), masked(p1, k1), masked(p2, k2), masked(p3, k3)
            w, v = load(d_weights, (h, m, o)), load(d_weights, (h + 1, m, o))
            n0, n1 = multiply_add(p0, w, n0), multiply_add(p1, w, n1)
            n2, n3 = multiply_add(p2, v, n2), multiply_add(p3, v, n3)
        store(sums, (0, m), z0)
        store(sums, (1, m), z1)
        store(sums, (2, m), z2)
        store(sums, (3, m), z3)
        store(sums, (4, m), n0)
        store(sums, (5, m), n1)
        store(sums, (6, m), n2)
        store(sums, (7, m), n3)


@inlined
def _normalize(problem, scratch, pairs, d_group, pair, h, g, here, least):
    """eU / Z, −D and dR of one of the four; whether its factors have kept their digits."""
    exp_group, sums, index = scratch.exp_group, pairs.sums, problem.index
    elements = index.shape[1]
    total, inner = full(here, 0.0), full(here, 0.0)
    for m in range(elements):
        u = load(exp_group, (g, index[h, g, m]))
        total = multiply_add(u, load(sums, (pair, m)), total)
        inner = multiply_add(u, load(sums, (pair + 4, m)), inner)
    inverted = inverse(total, here)
    inner = full(here, -1.0) * inner * inverted
    store(pairs.inner, (h, g), inner)
    for m in range(elements):
        r = load(exp_group, (g, index[h, g, m])) * inverted
        store(pairs.coefficient, (h, g, m), r)
        z, n = load(sums, (pair, m)), load(sums, (pair + 4, m))
        store(d_group, (h, g, m), r * multiply_add(inner, z, n))
    return not any_below(total, full(total, least), here)


@inner
def first_pass(problem, scratch, pairs, room, unit, position, offsets, least):
    """z, n, Z, D and dR; returns whether all Z have kept their digits."""
    d_weights, d_group = room.d_weights, room.d_group
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    for h in range(0, outputs, 2):
        for g in range(0, elements, 2):
            _sums_of_four(problem, scratch, pairs, d_weights, unit, h, g, position, offsets)
            for pair in range(4):
                i, j = h + pair // 2, g + pair % 2
                if not _normalize(problem, scratch, pairs, d_group, pair, i, j, here, least):
                    return False
    return True


@inner
def second_pass(scratch, pairs, room, offsets, drops):
    """W, dA and dP."""
    outputs, elements = pairs.coefficient.shape[:2]
    # Registers by their number in the array, so that arrays share steps and addresses.
    most = room.weights.shape[2]
    eA, eP, coefficient = scratch.exp_content, scratch.exp_position, pairs.coefficient
    W, dW, dA, dP = room.weights, room.d_weights, room.d_content, room.d_position
    inner, kept, slots = pairs.inner, pairs.kept, scratch.slots
    of_g = elements * most
    zero = full(load(inner, (0,)), 0.0)
    for o in range(offsets):
        for h in range(0, outputs, 2):
            i, j = number(slots, (h, o)), number(slots, (h + 1, o))
            for g in range(0, elements, 2):
                row = h * elements + g
                e0, e1 = load(eP, (g, i)), load(eP, (g + 1, i))
                e2, e3 = load(eP, (g, j)), load(eP, (g + 1, j))
                d0, d1 = load(inner, (row,)), load(inner, (row + 1,))
                d2, d3 = load(inner, (row + elements,)), load(inner, (row + elements + 1,))
                t0, t1, t2, t3 = zero, zero, zero, zero
                at_g, at_h = g * of_g + o, h * of_g + o
                r = row * elements
                for m in range(elements):
                    k = m * most
                    a, b = load(eA, (at_g + k,)), load(eA, (at_g + of_g + k,))
                    p0 = a * e0 * load(coefficient, (r + m,))
                    p1 = b * e1 * load(coefficient, (r + elements + m,))
                    p2 = a * e2 * load(coefficient, (r + elements * elements + m,))
                    p3 = b * e3 * load(coefficient, (r + elements * (elements + 1) + m,))
                    s0, s1, s2, s3 = p0 * d0, p1 * d1, p2 * d2, p3 * d3
                    if drops:
                        p0 = masked(p0, kept[h, g, m, o])
                        p1 = masked(p1, kept[h, g + 1, m, o])
                        p2 = masked(p2, kept[h + 1, g, m, o])
                        p3 = masked(p3, kept[h + 1, g + 1, m, o])
                    w, v = load(dW, (at_h + k,)), load(dW, (at_h + of_g + k,))
                    s0, s1 = multiply_add(p0, w, s0), multiply_add(p1, w, s1)
                    s2, s3 = multiply_add(p2, v, s2), multiply_add(p3, v, s3)
                    t0, t1, t2, t3 = t0 + s0, t1 + s1, t2 + s2, t3 + s3
                    w, v, a, b = p0 + p1, p2 + p3, s0 + s2, s1 + s3
                    if g > 0:
                        w = w + load(W, (at_h + k,))
                        v = v + load(W, (at_h + of_g + k,))
                    if h > 0:
                        a = a + load(dA, (at_g + k,))
                        b = b + load(dA, (at_g + of_g + k,))
                    store(W, (at_h + k,), w)
                    store(W, (at_h + of_g + k,), v)
                    store(dA, (at_g + k,), a)
                    store(dA, (at_g + of_g + k,), b)
                store(dP, (row * most + o,), t0)
                store(dP, ((row + 1) * most + o,), t1)
                store(dP, ((row + elements) * most + o,), t2)
                store(dP, ((row + elements + 1) * most + o,), t3)
