"""The backward's passes over (h, g; m, o), two h and two g at a time.

Four (h, g) share registers of eA and dW, and dP and the sums over o stay in registers; one (h, g)
alone loads and stores W, dA and dP for every (m, o). Two passes, since the first ds needs D, a sum
over all (m, o):

    first      z = Σ_o eP·eA     n = Σ_o mask·eP·eA·dW                         for each (h, g, m)
               Z = Σ_m eU·z      D = Σ_m eU·n / Z      dR = eU/Z·(n − D·z)
    second     p = eA·eP·eU/Z    ds = p·(mask·dW − D)  W = Σ_g mask·p    dA = Σ_h ds   dP = Σ_m ds

Registers for each (h, g, m, o): the first pass loads two for three operations and three of the
dropout's hash, the second loads three and stores one for six. The masks of the first pass are
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
from g_selfatt.backends.numba.masks import add_kept, multiply_add_kept
from g_selfatt.backends.numba.workspaces import room


class Pairs(NamedTuple):
    """Room for what the second pass needs of the first; the last axis is the lanes."""

    sums: Any  # z and n of four (h, g): (8, |G| of m)
    coefficient: Any  # eU / Z (fours, |G| of m, 4)
    inner: Any  # −D (fours, 4)
    kept: Any  # masks, a bit for each lane: (fours, |G| of m, n, 4), without the last axis


@njit
def make_pairs(problem, workspace, most, lanes):
    """Uninitialized room for blocks with up to ``most`` offsets in sight."""
    outputs, elements = problem.index.shape[:2]
    fours = (outputs // 2) * (elements // 2)
    return Pairs(
        room(workspace, (8, elements, lanes)),
        room(workspace, (fours, elements, 4, lanes)),
        room(workspace, (fours, 4, lanes)),
        np.empty((fours, elements, most if problem.threshold > 0 else 0, 4), np.uint16),
    )


@inlined
def _sums_of_four(problem, scratch, pairs, d_weights, unit, four, h, g, position, offsets):
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
            w, v = load(d_weights, (h, m, o)), load(d_weights, (h + 1, m, o))
            if drops:
                k0 = kept_mask(q0, keys, m, o, threshold)
                k1 = kept_mask(q1, keys, m, o, threshold)
                k2 = kept_mask(q2, keys, m, o, threshold)
                k3 = kept_mask(q3, keys, m, o, threshold)
                kept[four, m, o, 0], kept[four, m, o, 1] = k0, k1
                kept[four, m, o, 2], kept[four, m, o, 3] = k2, k3
                n0, n1 = multiply_add_kept(p0, w, n0, k0), multiply_add_kept(p1, w, n1, k1)
                n2, n3 = multiply_add_kept(p2, v, n2, k2), multiply_add_kept(p3, v, n3, k3)
            else:
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
def _normalize(problem, scratch, pairs, d_group, four, pair, h, g, here, least):
    """eU / Z, −D and dR of one of four; whether its factors have kept their digits."""
    exp_group, sums, index = scratch.exp_group, pairs.sums, problem.index
    elements = index.shape[1]
    total, inner = full(here, 0.0), full(here, 0.0)
    for m in range(elements):
        u = load(exp_group, (g, index[h, g, m]))
        total = multiply_add(u, load(sums, (pair, m)), total)
        inner = multiply_add(u, load(sums, (pair + 4, m)), inner)
    inverted = inverse(total, here)
    inner = full(here, -1.0) * inner * inverted
    store(pairs.inner, (four, pair), inner)
    for m in range(elements):
        r = load(exp_group, (g, index[h, g, m])) * inverted
        store(pairs.coefficient, (four, m, pair), r)
        z, n = load(sums, (pair, m)), load(sums, (pair + 4, m))
        store(d_group, (h, g, m), r * multiply_add(inner, z, n))
    return not any_below(total, full(total, least), here)


@inner
def first_pass(problem, scratch, pairs, room, unit, position, offsets, least):
    """z, n, Z, D and dR; returns whether all Z have kept their digits."""
    d_weights, d_group = room.d_weights, room.d_group
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    four = 0
    for h in range(0, outputs, 2):
        for g in range(0, elements, 2):
            _sums_of_four(problem, scratch, pairs, d_weights, unit, four, h, g, position, offsets)
            for pair in range(4):
                i, j = h + pair // 2, g + pair % 2
                if not _normalize(problem, scratch, pairs, d_group, four, pair, i, j, here, least):
                    return False
            four += 1
    return True


@inner
def second_pass(scratch, pairs, room, offsets, drops):
    """W, dA and dP."""
    outputs, elements, most = room.weights.shape[:3]
    # Registers by their number in the array, so that arrays share steps and addresses.
    eA, eP, coefficient = scratch.exp_content, scratch.exp_position, pairs.coefficient
    W, dW, dA, dP = room.weights, room.d_weights, room.d_content, room.d_position
    inner, kept, slots = pairs.inner, pairs.kept, scratch.slots
    of_g = elements * most
    zero = full(load(inner, (0,)), 0.0)
    for o in range(offsets):
        four = 0
        for h in range(0, outputs, 2):
            i, j = number(slots, (h, o)), number(slots, (h + 1, o))
            for g in range(0, elements, 2):
                e0, e1 = load(eP, (g, i)), load(eP, (g + 1, i))
                e2, e3 = load(eP, (g, j)), load(eP, (g + 1, j))
                d0, d1 = load(inner, (4 * four,)), load(inner, (4 * four + 1,))
                d2, d3 = load(inner, (4 * four + 2,)), load(inner, (4 * four + 3,))
                t0, t1, t2, t3 = zero, zero, zero, zero
                at_g, at_h = g * of_g + o, h * of_g + o
                for m in range(elements):
                    k, r = m * most, 4 * (four * elements + m)
                    a, b = load(eA, (at_g + k,)), load(eA, (at_g + of_g + k,))
                    p0 = a * e0 * load(coefficient, (r,))
                    p1 = b * e1 * load(coefficient, (r + 1,))
                    p2 = a * e2 * load(coefficient, (r + 2,))
                    p3 = b * e3 * load(coefficient, (r + 3,))
                    a, b, w, v = zero, zero, zero, zero
                    if h > 0:
                        a, b = load(dA, (at_g + k,)), load(dA, (at_g + of_g + k,))
                    if g > 0:
                        w, v = load(W, (at_h + k,)), load(W, (at_h + of_g + k,))
                    x, y = load(dW, (at_h + k,)), load(dW, (at_h + of_g + k,))
                    if drops:
                        k0, k1 = number(kept, (four, m, o, 0)), number(kept, (four, m, o, 1))
                        k2, k3 = number(kept, (four, m, o, 2)), number(kept, (four, m, o, 3))
                        w = add_kept(add_kept(w, p0, k0), p1, k1)
                        v = add_kept(add_kept(v, p2, k2), p3, k3)
                        x0, x1 = add_kept(d0, x, k0), add_kept(d1, x, k1)
                        x2, x3 = add_kept(d2, y, k2), add_kept(d3, y, k3)
                    else:
                        w, v = w + p0 + p1, v + p2 + p3
                        x0, x1, x2, x3 = d0 + x, d1 + x, d2 + y, d3 + y
                    t0, t1 = multiply_add(p0, x0, t0), multiply_add(p1, x1, t1)
                    t2, t3 = multiply_add(p2, x2, t2), multiply_add(p3, x3, t3)
                    store(W, (at_h + k,), w)
                    store(W, (at_h + of_g + k,), v)
                    store(dA, (at_g + k,), multiply_add(p2, x2, multiply_add(p0, x0, a)))
                    store(dA, (at_g + of_g + k,), multiply_add(p3, x3, multiply_add(p1, x1, b)))
                row = h * elements + g
                store(dP, (row * most + o,), t0)
                store(dP, ((row + 1) * most + o,), t1)
                store(dP, ((row + elements) * most + o,), t2)
                store(dP, ((row + elements + 1) * most + o,), t3)
                four += 1
