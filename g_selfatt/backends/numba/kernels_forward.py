"""The forward of the compiled attention: out[h,i] = Σ_g Σ_{m,j} p[h,g,i; m,j]·v[m,j]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from g_selfatt.backends.numba.blocks import (
    look_around,
    make_scratch,
    paste_block,
    positions_of,
    read_unit,
)
from g_selfatt.backends.numba.compiling import (
    compile_kernel,
    inlined,
    inner,
    sources_digest,
)
from g_selfatt.backends.numba.contractions import combine
from g_selfatt.backends.numba.denormals import flush_denormals, restore
from g_selfatt.backends.numba.dropout import kept_mask, query_keys, threshold_of
from g_selfatt.backends.numba.factors import compute_factors, factors_of, normalize
from g_selfatt.backends.numba.images import write
from g_selfatt.backends.numba.lanes import full, load, multiply_add, number, store
from g_selfatt.backends.numba.masks import load_halves, masked
from g_selfatt.backends.numba.parallel import next_task, on_all_threads, own_memory
from g_selfatt.backends.numba.workspaces import room


@inlined
def _sum_one_by_one(problem, scratch, weights, unit, h, position, offsets, least):
    """W[h,m,o] = Σ_g mask·p[h,g; m,o], a (h, g) at a time.

    Three loads and a store for each (h, g, m, o).
    """
    exp_content, exp_position = scratch.exp_content, scratch.exp_position
    keys, coefficient, slots = scratch.weight_keys, scratch.coefficient, scratch.slots
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    threshold = threshold_of(problem, here)
    for g in range(elements):
        content, row, of = factors_of(scratch, problem.index, h, g, here, offsets, least)
        query_key = query_keys(here, problem.seed, (unit * outputs + h) * elements + g, position)
        for m in range(elements):
            r = load(coefficient, (of, g, m))
            for o in range(offsets):
                p = load(exp_content, (content, m, o)) * load(exp_position, (row, slots[h, o]))
                if problem.threshold > 0:
                    p = masked(p, kept_mask(query_key, keys, m, o, threshold))
                before = full(here, 0.0)
                if g > 0:
                    before = load(weights, (h, m, o))
                store(weights, (h, m, o), multiply_add(p, r, before))


@inlined
def _sum_in_tiles(problem, scratch, weights, query_bits, unit, position, offsets):
    """W[h,m,o] = Σ_g mask·p[h,g; m,o], two h and two m at a time.

    Two loads for each (h, g, m, o), and half of one for the dropout; a store for each (h, m, o).
    The offsets are outermost, so that what is touched for one stays in the first cache.
    """
    eA, eP, r = scratch.exp_content, scratch.exp_position, scratch.coefficient
    keys, slots = scratch.weight_keys, scratch.slots
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    zero = full(here, 0.0)
    drops = problem.threshold > 0
    threshold = threshold_of(problem, here)
    if drops:
        for h in range(outputs):
            for g in range(elements):
                row = (unit * outputs + h) * elements + g
                store(query_bits, (h, g, 0), query_keys(here, problem.seed, row, position))
    for o in range(offsets):
        for h in range(0, outputs, 2):
            i, j = number(slots, (h, o)), number(slots, (h + 1, o))
            for m in range(0, elements, 2):
                w0, w1, w2, w3 = zero, zero, zero, zero
                for g in range(elements):
                    e0, e1 = load(eP, (g, i)), load(eP, (g, j))
                    a, b = load(eA, (g, m, o)), load(eA, (g, m + 1, o))
                    p0, p1, p2, p3 = a * e0, b * e0, a * e1, b * e1
                    if drops:
                        q0 = load_halves(query_bits, (h, g, 0), here)
                        q1 = load_halves(query_bits, (h + 1, g, 0), here)
                        p0 = masked(p0, kept_mask(q0, keys, m, o, threshold))
                        p1 = masked(p1, kept_mask(q0, keys, m + 1, o, threshold))
                        p2 = masked(p2, kept_mask(q1, keys, m, o, threshold))
                        p3 = masked(p3, kept_mask(q1, keys, m + 1, o, threshold))
                    w0 = multiply_add(p0, load(r, (h, g, m)), w0)
                    w1 = multiply_add(p1, load(r, (h, g, m + 1)), w1)
                    w2 = multiply_add(p2, load(r, (h + 1, g, m)), w2)
                    w3 = multiply_add(p3, load(r, (h + 1, g, m + 1)), w3)
                store(weights, (h, m, o), w0)
                store(weights, (h, m + 1, o), w1)
                store(weights, (h + 1, m, o), w2)
                store(weights, (h + 1, m + 1, o), w3)


@inlined
def _sum_over_queries(problem, scratch, weights, query_bits, unit, position, offsets, least):
    """W[h,m,o] = Σ_g mask·p[h,g; m,o]: the sum over g comes before the values."""
    outputs, elements = problem.index.shape[:2]
    kept = False
    if outputs > 1:
        here = load(problem.penalty, (position,))
        kept = normalize(scratch, problem.index, here, offsets, least)
    if kept and outputs % 2 == 0 and elements % 2 == 0:
        _sum_in_tiles(problem, scratch, weights, query_bits, unit, position, offsets)
    else:
        for h in range(outputs):
            _sum_one_by_one(problem, scratch, weights, unit, h, position, offsets, least)


@inner
def _attend(team, problem, scratch, weights, query_bits, mixed, padded, out, kept, least):
    """All of a forward but its room: with ``_nrt`` on, each array in these loops is counted."""
    first_unit, last_unit, first_block, last_block, _ = next_task(team)
    while first_unit < last_unit:
        start, end = positions_of(problem, first_block, last_block)
        for unit in range(first_unit, last_unit):
            read_unit(problem, scratch, unit)
            for block in range(first_block, last_block):
                position, offsets, rows = look_around(problem, scratch, block)
                compute_factors(problem, scratch, position, offsets, rows)
                _sum_over_queries(
                    problem, scratch, weights, query_bits, unit, position, offsets, least
                )
                combine(mixed, weights, scratch.values, scratch.positions, offsets)
                paste_block(padded, mixed, position)
            write(out, padded, unit, problem.layout, start, end, 1 / kept)
        first_unit, last_unit, first_block, last_block, _ = next_task(team)


@njit
def _work(team, problem, out, kept, lanes, least):
    """What one thread does."""
    control = flush_denormals()
    workspace = own_memory(team)
    outputs, elements = problem.index.shape[:2]
    scratch = make_scratch(problem, workspace, lanes)
    most = scratch.content.shape[2]
    weights = room(workspace, (outputs, elements, most, lanes))  # W (h, m, o)
    query_bits = np.empty((outputs, elements, lanes), np.uint16)  # of the dropout (h, g)
    mixed = room(workspace, (outputs, problem.channels, lanes))  # (h, c)
    padded = room(workspace, (problem.channels, outputs, problem.penalty.shape[0]))
    _attend(team, problem, scratch, weights, query_bits, mixed, padded, out, kept, least)
    restore(control)


def _compile(digest: int) -> Callable:
    def forward(team, problem, out, kept, lanes, least):
        """Fill ``out``, an `Image` (B, heads, c, |H|, H, W).

        Args:
            team: `Team`.
            problem: `Problem`.
            kept: the share of the weights that dropout keeps.
            lanes: numbers in a register.
            least: the normalizer below which factors have lost digits.
        """
        on_all_threads(_work, team.parallel, team.threads, (team, problem, out, kept, lanes, least))
        return digest

    return compile_kernel(forward)


forward = _compile(sources_digest())
