"""What a kernel is given, and the room for one unit and one block of queries.

A unit is one head of one sample, a block is one register of neighbouring queries.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.dropout import draw_weight_keys
from g_selfatt.backends.numba.images import read
from g_selfatt.backends.numba.lanes import load, store
from g_selfatt.backends.numba.workspaces import room, zeros

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
    threshold: int  # a weight is dropped with probability threshold / 2¹⁶


class Scratch(NamedTuple):
    """Room for a unit, and for one of its blocks: there the last axis is the lanes, n the offsets
    in sight."""

    queries: Any  # (c, |G|, length), times scale / ln 2
    keys: Any  # (c, |G|, length)
    values: Any  # (c, |G|, length)
    query: Any  # (|G|, c)
    content: Any  # A (|G| of g, |G| of m, n)
    position: Any  # P (|G|, rows in sight)
    group: Any  # U (|G|, rows of E): R[h,g,m] = U[g, index[h,g,m]]
    exp_content: Any  # eA (|G| + 1, |G|, n); the last for a (h, g) whose Z underflows
    exp_position: Any  # eP (|G| + 1, rows in sight); the last is ones, likewise
    exp_group: Any  # eU (|G|, rows of E)
    normalizer: Any  # Z (|H|, |G|)
    coefficient: Any  # eU / Z (|H| + 1, |G| of g, |G| of m); the last likewise
    by_row: Any  # ∂/∂U of one g: (rows of E)
    ids: Any  # (n,) offsets in sight, as i·K_w + j
    positions: Any  # (n,) of the first lane's keys
    rows: Any  # (rows in sight,) of the table
    slots: Any  # (|H|, n), which of the rows in sight
    slot_of: Any  # (rows,), −1 where a row is not in sight
    unit_keys: Any  # (|G|·K, 2) of the unit's dropout; empty without
    weight_keys: Any  # (|G|, n, 2), those of the offsets in sight
    seen: Any  # (7,), of the last block: `Geometry.blocks`, offsets and rows in number


@njit
def make_scratch(problem, workspace, lanes):
    """Uninitialized room for the largest block, and images that are zero outside their pixels."""
    channels, most = problem.channels, 1
    outputs, elements = problem.index.shape[:2]
    length = problem.penalty.shape[0]
    for _, top, bottom, left, right in problem.blocks:
        most = max(most, (bottom - top) * (right - left))
    rows = problem.table.shape[0]
    drops = problem.threshold > 0
    exp_position = room(workspace, (elements + 1, rows, lanes))
    exp_position[elements] = 1
    return Scratch(
        zeros(workspace, (channels, elements, length)),
        zeros(workspace, (channels, elements, length)),
        zeros(workspace, (channels, elements, length)),
        room(workspace, (elements, channels, lanes)),
        room(workspace, (elements, elements, most, lanes)),
        room(workspace, (elements, rows, lanes)),
        room(workspace, (elements, problem.embedding.shape[0], lanes)),
        room(workspace, (elements + 1, elements, most, lanes)),
        exp_position,
        room(workspace, (elements, problem.embedding.shape[0], lanes)),
        room(workspace, (outputs, elements, lanes)),
        room(workspace, (outputs + 1, elements, elements, lanes)),
        room(workspace, (problem.embedding.shape[0], lanes)),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(rows, np.int64),
        np.empty((outputs, most), np.int64),
        np.empty(rows, np.int64),
        np.empty((elements * problem.rows.shape[1] if drops else 0, 2), np.uint16),
        np.empty((elements, most if drops else 0, 2), np.uint16),
        np.full(7, -1),
    )


@inlined
def read_unit(problem, scratch, unit):
    """Copy query, key and value of one unit, and draw the numbers of its dropout."""
    read(scratch.queries, problem.query, unit, problem.layout, problem.scale / LN_2)
    read(scratch.keys, problem.key, unit, problem.layout, 1.0)
    read(scratch.values, problem.value, unit, problem.layout, 1.0)
    draw_weight_keys(scratch.unit_keys, problem.seed, unit)
    scratch.seen[:] = -1  # the numbers of the offsets in sight are others


@inner
def positions_of(problem, first_block, last_block):
    """The positions [least, most) that some blocks are responsible for."""
    blocks = problem.blocks
    most = problem.penalty.shape[0]
    if last_block < blocks.shape[0]:
        most = blocks[last_block, 0]
    return blocks[first_block, 0], most


@inlined
def sees_the_same(problem, scratch, block):
    """Whether a block has the same part of the window in sight as the last one."""
    _, top, bottom, left, right = problem.blocks[block]
    seen = scratch.seen
    return seen[1] == top and seen[2] == bottom and seen[3] == left and seen[4] == right


@inlined
def look_around(problem, scratch, block):
    """List what is in sight of a block; returns its first position, offsets and rows in number.

    Most blocks of a unit lie inside the image and see the same: then only the positions move.
    """
    first, top, bottom, left, right = problem.blocks[block]
    seen = scratch.seen
    if sees_the_same(problem, scratch, block):
        moved = first - seen[0]
        for o in range(seen[5]):
            scratch.positions[o] += moved
        seen[0] = first
        return first, seen[5], seen[6]
    height, width = problem.window
    n = 0
    for j in range(left, right):  # down the columns, as `scatter` takes them
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
    if problem.threshold > 0:
        for m in range(scratch.weight_keys.shape[0]):
            for o in range(n):
                weight = m * problem.rows.shape[1] + scratch.ids[o]
                for i in range(2):
                    scratch.weight_keys[m, o, i] = scratch.unit_keys[weight, i]
    for i in range(5):
        seen[i] = problem.blocks[block, i]
    seen[5], seen[6] = n, in_sight
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
