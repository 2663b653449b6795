"""The factors of the softmax for one block of queries, shared by forward and backward.

    s[h,g; m,o] = A[g,m,o] + P[h,g,o] + R[h,g,m]      content, position, group
    p[h,g; m,o] = eA·eP·eR / Z[h,g],   Z = Σ_m eR Σ_o eP·eA,   eA = 2^(A − max_{m,o} A), …

(the softmax of Romero & Cordonnier's group self-attention), so that exponentials cost
|G|²K + |H||G|K + |H||G|² and not |H||G|²K. Where the three maxima belong to different keys, Z can
underflow; such a (h, g) takes exponentials of s − max_{m,o} s instead, which is the plain softmax.
Scores are in units of ln 2, since powers of two are cheaper: the query is multiplied with 1 / ln 2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from g_selfatt.backends.numba.compiling import inner
from g_selfatt.backends.numba.contractions import correlate, correlate_table
from g_selfatt.backends.numba.images import read
from g_selfatt.backends.numba.lanes import (
    any_below,
    full,
    inverse,
    larger,
    load,
    multiply_add,
    room,
    spread,
    store,
)
from g_selfatt.backends.numba.powers import power_of_two

LN_2 = math.log(2)


class Problem(NamedTuple):
    """What a kernel is given. A unit is one head of one sample; lengths as in `Geometry`."""

    query: Any  # `Image` (1, B, heads, c, |G|, H, W), as key and value
    key: Any
    value: Any
    scale: float
    table: Any  # (rows, d), each row once
    rows: Any  # (|H|, K), rows of the table
    embedding: Any  # (|H|, e); (1, 0) for lifting
    index: Any  # (|H|, |G|, |G|), rows of the embedding
    penalty: Any  # (length,): 0 at pixels, hugely negative elsewhere
    blocks: Any  # (blocks, 5), `Geometry.blocks`
    channels: int
    layout: tuple[int, int, int, int]  # H, W, stride, margin of `Geometry`
    window: tuple[int, int]
    seed: int
    threshold: int  # a weight is dropped with probability threshold / 2³²
    weight_keys: Any  # (|G|·K,) of the dropout; empty without


class Scratch(NamedTuple):
    """Room for a unit, and for one of its blocks: there the last axis is the lanes, n the offsets
    in sight."""

    queries: Any  # (c, |G|, length), times scale / ln 2
    keys: Any  # (c, |G|, length)
    values: Any  # (c, |G|, length)
    query: Any  # (|G|, c)
    content: Any  # A (|G| of g, |G| of m, n)
    position: Any  # P (|G|, rows in sight)
    group: Any  # R (|H|, |G|, |G|)
    exp_content: Any  # eA (|G| + 1, |G|, n); the last for a (h, g) whose Z underflows
    exp_position: Any  # eP (|H|·|G| + 1, n); the last is ones, likewise
    exp_row: Any  # eP of one g: (rows in sight)
    exp_group: Any  # eR (|H|, |G|, |G|)
    coefficient: Any  # eR / Z of one (h, g): (|G| of m)
    by_row: Any  # U (|H| of t)
    ids: Any  # (n,) offsets in sight, as i·K_w + j
    positions: Any  # (n,) of the first lane's keys
    rows: Any  # (rows in sight,) of the table
    slots: Any  # (|H|, n), which of the rows in sight
    slot_of: Any  # (rows,), −1 where a row is not in sight


@njit
def make_scratch(problem, lanes):
    """Uninitialized room for the largest block, and images that are zero outside their pixels."""
    channels, most = problem.channels, 1
    outputs, elements = problem.index.shape[:2]
    length = problem.penalty.shape[0]
    for _, top, bottom, left, right in problem.blocks:
        most = max(most, (bottom - top) * (right - left))
    dtype = problem.penalty.dtype
    rows = problem.table.shape[0]
    ones = room((outputs * elements + 1, most, lanes), dtype)
    ones[:] = 1
    return Scratch(
        np.zeros((channels, elements, length), dtype),
        np.zeros((channels, elements, length), dtype),
        np.zeros((channels, elements, length), dtype),
        room((elements, channels, lanes), dtype),
        room((elements, elements, most, lanes), dtype),
        room((elements, rows, lanes), dtype),
        room((outputs, elements, elements, lanes), dtype),
        room((elements + 1, elements, most, lanes), dtype),
        ones,
        room((rows, lanes), dtype),
        room((outputs, elements, elements, lanes), dtype),
        room((elements, lanes), dtype),
        room((problem.embedding.shape[0], lanes), dtype),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(rows, np.int64),
        np.empty((outputs, most), np.int64),
        np.empty(rows, np.int64),
    )


@inner
def read_unit(problem, scratch, unit):
    """Copy query, key and value of one unit."""
    read(scratch.queries, problem.query, unit, problem.layout, problem.scale / LN_2)
    read(scratch.keys, problem.key, unit, problem.layout, 1.0)
    read(scratch.values, problem.value, unit, problem.layout, 1.0)


@inner
def positions_of(problem, first_block, last_block):
    """The positions [least, most) that some blocks are responsible for."""
    blocks = problem.blocks
    most = problem.penalty.shape[0]
    if last_block < blocks.shape[0]:
        most = blocks[last_block, 0]
    return blocks[first_block, 0], most


@inner
def look_around(problem, scratch, block):
    """List what is in sight of a block; returns its first position, offsets and rows in number."""
    first, top, bottom, left, right = problem.blocks[block]
    height, width = problem.window
    n = 0
    # Rows inside columns: neighbours in a row overlap in memory, and a processor that reads what it
    # has only just written, shifted by one, waits.
    for j in range(left, right):
        for i in range(top, bottom):
            scratch.ids[n] = i * width + j
            scratch.positions[n] = first + (i - height // 2) * problem.layout[2] + j - width // 2
            n += 1
    rows, slots, slot_of = scratch.rows, scratch.slots, scratch.slot_of
    in_sight = 0
    slot_of[:] = -1
    for h in range(slots.shape[0]):
        for o in range(n):
            row = problem.rows[h, scratch.ids[o]]
            if slot_of[row] < 0:
                slot_of[row] = in_sight
                rows[in_sight] = row
                in_sight += 1
            slots[h, o] = slot_of[row]
    return first, n, in_sight


@inner
def copy_block(vectors, images, first):
    """X[a,c] = Y[c,a,first…]."""
    for a in range(vectors.shape[0]):
        for c in range(vectors.shape[1]):
            store(vectors, (a, c), load(images, (c, a, first)))


@inner
def paste_block(images, vectors, first):
    """Y[c,a,first…] = X[a,c]."""
    for c in range(vectors.shape[1]):
        for a in range(vectors.shape[0]):
            store(images, (c, a, first), load(vectors, (a, c)))


@inner
def compute_factors(problem, scratch, first, offsets, rows):
    """Fill the scores A, P, R and their exponentials for the block at ``first``."""
    copy_block(scratch.query, scratch.queries, first)
    positions, penalty = scratch.positions, problem.penalty
    correlate(scratch.content, scratch.query, scratch.keys, penalty, positions, offsets)
    correlate_table(scratch.position, scratch.query, problem.table, scratch.rows, rows)
    _group_scores(scratch.group, scratch.query, problem.embedding, problem.index, scratch.by_row)
    content, position, group = scratch.content, scratch.position, scratch.group
    exp_content, exp_position, exp_group = (
        scratch.exp_content,
        scratch.exp_position,
        scratch.exp_group,
    )
    exp_row, slots = scratch.exp_row, scratch.slots
    outputs, elements = group.shape[:2]
    for g in range(elements):
        most = load(content, (g, 0, 0))
        for m in range(elements):
            for o in range(offsets):
                most = larger(most, load(content, (g, m, o)))
        for m in range(elements):
            for o in range(offsets):
                store(exp_content, (g, m, o), power_of_two(load(content, (g, m, o)) - most))
        most = load(position, (g, 0))
        for s in range(rows):
            most = larger(most, load(position, (g, s)))
        for s in range(rows):
            store(exp_row, (s,), power_of_two(load(position, (g, s)) - most))
        for h in range(outputs):
            for o in range(offsets):
                store(exp_position, (h * elements + g, o), load(exp_row, (slots[h, o],)))
    for h in range(outputs):
        for g in range(elements):
            most = load(group, (h, g, 0))
            for m in range(elements):
                most = larger(most, load(group, (h, g, m)))
            for m in range(elements):
                store(exp_group, (h, g, m), power_of_two(load(group, (h, g, m)) - most))


@inner
def _group_scores(group, query, embedding, index, by_row):
    """R[h,g,m] = U[g, index[h,g,m]], U[g,t] = Σ_e q[g, c − e…]·E[t, e]."""
    depth = embedding.shape[1]
    skipped = query.shape[1] - depth
    for g in range(query.shape[0]):
        for t in range(embedding.shape[0]):
            u = full(load(query, (0, 0)), 0.0)
            for c in range(depth):
                u = multiply_add(load(query, (g, skipped + c)), spread(embedding, (t, c)), u)
            store(by_row, (t,), u)
        for h in range(index.shape[0]):
            for m in range(index.shape[2]):
                store(group, (h, g, m), load(by_row, (index[h, g, m],)))


@inner
def normalize(scratch, h, g, here, offsets, least):
    """Fill the coefficients eR / Z of (h, g); returns the rows of eA and eP that go with them.

    Args:
        here: the penalty of the block's lanes: 0 where there is a query.
        least: below this Z the factors have lost digits.
    """
    exp_content, exp_position, exp_group = (
        scratch.exp_content,
        scratch.exp_position,
        scratch.exp_group,
    )
    coefficient = scratch.coefficient
    elements = coefficient.shape[0]
    row = h * elements + g
    total = full(here, 0.0)
    for m in range(elements):
        z0, z1 = full(here, 0.0), full(here, 0.0)
        for o in range(0, offsets - 1, 2):
            z0 = multiply_add(load(exp_position, (row, o)), load(exp_content, (g, m, o)), z0)
            o1 = o + 1
            z1 = multiply_add(load(exp_position, (row, o1)), load(exp_content, (g, m, o1)), z1)
        if offsets % 2:
            o = offsets - 1
            z0 = multiply_add(load(exp_position, (row, o)), load(exp_content, (g, m, o)), z0)
        total = multiply_add(load(exp_group, (h, g, m)), z0 + z1, total)
    if not any_below(total, full(total, least), here):
        inverted = inverse(total, here)
        for m in range(elements):
            store(coefficient, (m,), load(exp_group, (h, g, m)) * inverted)
        return g, row
    _joint_softmax(scratch, h, g, here, offsets)
    return elements, exp_position.shape[0] - 1


@inner
def _joint_softmax(scratch, h, g, here, offsets):
    """The plain softmax of (h, g): 2^(s − max) in the last row of eA, 1/Z as coefficients."""
    content, position, group = scratch.content, scratch.position, scratch.group
    exp_content, coefficient, slots = scratch.exp_content, scratch.coefficient, scratch.slots
    elements = coefficient.shape[0]
    most = load(content, (g, 0, 0)) + load(position, (g, slots[h, 0])) + load(group, (h, g, 0))
    for m in range(elements):
        r = load(group, (h, g, m))
        for o in range(offsets):
            s = load(content, (g, m, o)) + load(position, (g, slots[h, o])) + r
            most = larger(most, s)
    total = full(here, 0.0)
    for m in range(elements):
        r = load(group, (h, g, m))
        for o in range(offsets):
            s = load(content, (g, m, o)) + load(position, (g, slots[h, o])) + r
            p = power_of_two(s - most)
            total = total + p
            store(exp_content, (elements, m, o), p)
    for m in range(elements):
        store(coefficient, (m,), inverse(total, here))
