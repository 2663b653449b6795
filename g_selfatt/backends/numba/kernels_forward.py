"""The forward of the compiled attention: out[h,i] = Σ_g Σ_{m,j} p[h,g,i; m,j]·v[m,j]."""

from __future__ import annotations

from collections.abc import Callable

from numba import uint16

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
    sources_digest,
)
from g_selfatt.backends.numba.contractions import combine
from g_selfatt.backends.numba.dropout import kept_mask, query_keys
from g_selfatt.backends.numba.factors import compute_factors, normalize
from g_selfatt.backends.numba.images import write
from g_selfatt.backends.numba.lanes import full, load, multiply_add, store
from g_selfatt.backends.numba.masks import counters, halves, masked
from g_selfatt.backends.numba.workspaces import room


@inlined
def _sum_over_queries(problem, scratch, weights, unit, h, position, offsets, least):
    """W[h,m,o] = Σ_g mask·p[h,g; m,o]: the sum over g comes before the values."""
    exp_content, exp_position = scratch.exp_content, scratch.exp_position
    keys, coefficient = scratch.weight_keys, scratch.coefficient
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    threshold = full(halves(counters(here, 0)), uint16(problem.threshold))
    for g in range(elements):
        content, row = normalize(scratch, problem.index, h, g, here, offsets, least)
        query_key = query_keys(here, problem.seed, (unit * outputs + h) * elements + g, position)
        for m in range(elements):
            r = load(coefficient, (m,))
            for o in range(offsets):
                p = load(exp_content, (content, m, o)) * load(exp_position, (row, o))
                if problem.threshold > 0:
                    p = masked(p, kept_mask(query_key, keys, m, o, threshold))
                before = full(here, 0.0)
                if g > 0:
                    before = load(weights, (h, m, o))
                store(weights, (h, m, o), multiply_add(p, r, before))


def _compile(digest: int) -> Callable:
    def forward(
        problem, workspace, out, kept, first_unit, last_unit, first_block, last_block, lanes, least
    ):
        """Fill ``out``, an `Image` (1, B, heads, c, |H|, H, W), for some units and blocks."""
        outputs, elements = problem.index.shape[:2]
        scratch = make_scratch(problem, workspace, lanes)
        most = scratch.content.shape[2]
        weights = room(workspace, (outputs, elements, most, lanes))  # W (h, m, o)
        mixed = room(workspace, (outputs, problem.channels, lanes))  # (h, c)
        padded = room(workspace, (problem.channels, outputs, problem.penalty.shape[0]))
        start, end = positions_of(problem, first_block, last_block)
        for unit in range(first_unit, last_unit):
            read_unit(problem, scratch, unit)
            for block in range(first_block, last_block):
                position, offsets, rows = look_around(problem, scratch, block)
                compute_factors(problem, scratch, position, offsets, rows)
                for h in range(outputs):
                    _sum_over_queries(problem, scratch, weights, unit, h, position, offsets, least)
                combine(mixed, weights, scratch.values, scratch.positions, offsets)
                paste_block(padded, mixed, position)
            write(out, padded, unit, 0, problem.layout, start, end, 1 / kept)
        return digest

    return compile_kernel(forward)


forward = _compile(sources_digest())
