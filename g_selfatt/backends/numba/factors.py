"""The factors of the softmax for one block of queries, shared by forward and backward.

    s[h,g; m,o] = A[g,m,o] + P[g,T(h,o)] + U[g,φ(h,g,m)]      content, position, group
    p[h,g; m,o] = eA·eP·eU / Z[h,g],   Z = Σ_m eU Σ_o eP·eA,   eA = 2^(A − max_{m,o} A), …

(the softmax of Romero & Cordonnier's group self-attention), T(h,o) a row of the positional table
and φ(h,g,m) of the group's, so that exponentials cost |G|²K + |G|·rows and not |H||G|²K. Where the
three maxima belong to different keys, Z can underflow; such a (h, g) takes powers of two of
s − max_{m,o} s instead, the plain softmax. So does a group of one element, with nothing to share.
Scores are in units of ln 2, since powers of two are cheaper: the query is multiplied with 1 / ln 2.
"""

from __future__ import annotations

from functools import partial

from g_selfatt.backends.numba.blocks import copy_block
from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.contractions import correlate, correlate_table
from g_selfatt.backends.numba.lanes import (
    any_below,
    full,
    inverse,
    larger,
    load,
    multiply_add,
    spread,
    store,
)
from g_selfatt.backends.numba.powers import power_of_two
from g_selfatt.backends.numba.tiles import (
    loads,
    outer_add,
    picks,
    repeated,
    stores,
    strided,
    tiled,
)


@inlined
def compute_factors(problem, scratch, first, offsets, rows):
    """Fill the scores A, P, U and their exponentials for the block at ``first``."""
    copy_block(scratch.query, scratch.queries, first)
    positions, penalty = scratch.positions, problem.penalty
    correlate(scratch.content, scratch.query, scratch.keys, penalty, positions, offsets)
    correlate_table(scratch.position, scratch.query, problem.table, scratch.rows, rows)
    _group_scores(scratch.group, scratch.query, problem.embedding)
    if problem.index.shape[0] > 1:
        _exponentials(scratch, offsets, rows)


@inner
def _group_scores(group, query, embedding):
    """U[g,t] = Σ_e q[g, c − e…]·E[t, e]."""
    depth = embedding.shape[1]
    skipped = query.shape[1] - depth
    for g in range(query.shape[0]):
        for t in range(embedding.shape[0]):
            u = full(load(query, (0, 0)), 0.0)
            for c in range(depth):
                u = multiply_add(load(query, (g, skipped + c)), spread(embedding, (t, c)), u)
            store(group, (g, t), u)


@inner
def _exponentials(scratch, offsets, rows):
    """eA, eP, eU, each of the difference to its maximum."""
    content, position, group = scratch.content, scratch.position, scratch.group
    exp_content, exp_position, exp_group = (
        scratch.exp_content,
        scratch.exp_position,
        scratch.exp_group,
    )
    elements = group.shape[0]
    for g in range(elements):
        most = _largest(content, g, offsets)
        for m in range(elements):
            for o in range(offsets):
                store(exp_content, (g, m, o), power_of_two(load(content, (g, m, o)) - most))
        most = load(position, (g, 0))
        for s in range(rows):
            most = larger(most, load(position, (g, s)))
        for s in range(rows):
            store(exp_position, (g, s), power_of_two(load(position, (g, s)) - most))
        most = load(group, (g, 0))
        for t in range(group.shape[1]):
            most = larger(most, load(group, (g, t)))
        for t in range(group.shape[1]):
            store(exp_group, (g, t), power_of_two(load(group, (g, t)) - most))


@inlined
def _largest(content, g, offsets):
    """max_{m,o} A[g,m,o], by two maxima in turns, since each waits for the one before."""
    even = odd = load(content, (g, 0, 0))
    for m in range(content.shape[1]):
        for o in range(0, offsets - 1, 2):
            even = larger(even, load(content, (g, m, o)))
            odd = larger(odd, load(content, (g, m, o + 1)))
        even = larger(even, load(content, (g, m, offsets - 1)))
    return larger(even, odd)


@partial(tiled, width=4)
def _sums(outputs, elements, sums, exp_content, exp_position, slots, g, offsets):
    flat = slots.reshape(-1)
    tile = repeated(outputs, repeated(elements, (full(load(exp_position, (0, 0)), 0.0),)))
    for o in range(offsets):
        e = loads(exp_position, (g, picks(flat, strided(outputs, slots.shape[1], o))))
        tile = outer_add(tile, e, loads(exp_content, (g, elements, o)))
    stores(sums, (outputs, g, elements), tile)


@inner
def normalize(scratch, index, here, offsets, least):
    """Fill Z and the coefficients eU / Z; returns whether all Z have kept their digits.

    Args:
        here: the penalty of the block's lanes: 0 where there is a query.
        least: below this Z the factors have lost digits.
    """
    coefficient, exp_group, normalizer = scratch.coefficient, scratch.exp_group, scratch.normalizer
    outputs, elements = index.shape[:2]
    kept = True
    for g in range(elements):
        # Σ_o eP·eA, in the place of the coefficients.
        sums, eA, eP = coefficient, scratch.exp_content, scratch.exp_position
        _sums(outputs, elements, sums, eA, eP, scratch.slots, g, offsets)
        for h in range(outputs):
            total = full(here, 0.0)
            for m in range(elements):
                u = load(exp_group, (g, index[h, g, m]))
                total = multiply_add(u, load(coefficient, (h, g, m)), total)
            store(normalizer, (h, g), total)
            kept = kept and not any_below(total, full(total, least), here)
            inverted = inverse(total, here)
            for m in range(elements):
                r = load(exp_group, (g, index[h, g, m])) * inverted
                store(coefficient, (h, g, m), r)
    return kept


@inlined
def factors_of(scratch, index, h, g, here, offsets, least):
    """The rows of eA, of eP and of the coefficients whose product is p of (h, g).

    For a group of more than one element, `normalize` has been called before.
    """
    outputs, elements = index.shape[:2]
    if outputs > 1:
        total = load(scratch.normalizer, (h, g))
        if not any_below(total, full(total, least), here):
            return g, g, h
    _joint_softmax(scratch, index, h, g, here, offsets)
    return elements, elements, outputs


@inner
def _joint_softmax(scratch, index, h, g, here, offsets):
    """The plain softmax of (h, g): 2^(s − max) in the last row of eA, 1/Z as coefficients."""
    content, position, group = scratch.content, scratch.position, scratch.group
    exp_content, coefficient, slots = scratch.exp_content, scratch.coefficient, scratch.slots
    outputs, elements = index.shape[:2]
    most = load(content, (g, 0, 0)) + load(position, (g, slots[h, 0]))
    most = most + load(group, (g, index[h, g, 0]))
    for m in range(elements):
        r = load(group, (g, index[h, g, m]))
        for o in range(offsets):
            s = load(content, (g, m, o)) + load(position, (g, slots[h, o])) + r
            most = larger(most, s)
    total = full(here, 0.0)
    for m in range(elements):
        r = load(group, (g, index[h, g, m]))
        for o in range(offsets):
            s = load(content, (g, m, o)) + load(position, (g, slots[h, o])) + r
            p = power_of_two(s - most)
            total = total + p
            store(exp_content, (elements, m, o), p)
    for m in range(elements):
        store(coefficient, (outputs, g, m), inverse(total, here))
