"""The backward of the compiled attention: everything recomputed, block by block.

dW[h; m,o]   = Σ_c dO[h,c]·v[m,c]                 dv[m] += Σ_h W[h; m,o]·dO[h]
D[h,g]       = Σ_{m,o} p·mask·dW                  ds[h,g; m,o] = p·(mask·dW − D)
dA[g; m,o]   = Σ_h ds        dP[h,g; o] = Σ_m ds        dR[h,g; m] = Σ_o ds
dq = dA·k + dP·T + dR·E,     dk += dA·q,     dT += dP·q,     dE += dR·q

Where the numbers of h and g are even, `pairs` goes over (h, g; m, o), four (h, g) at a time. The
functions here take one (h, g) at a time, for other groups and where a factor underflows (see
`factors`): eight loads and five stores of registers for each (h, g, m, o), eleven operations, and
three more of the dropout's hash.
"""

from __future__ import annotations

from collections.abc import Callable

from numba import njit

from g_selfatt.backends.numba.blocks import (
    LN_2,
    copy_block,
    look_around,
    make_scratch,
    paste_block,
    positions_of,
    read_unit,
    sees_the_same,
)
from g_selfatt.backends.numba.compiling import (
    compile_kernel,
    inlined,
    inner,
    sources_digest,
)
from g_selfatt.backends.numba.contractions import (
    combine,
    combine_table,
    correlate,
    scatter,
    scatter_table,
)
from g_selfatt.backends.numba.denormals import flush_denormals, restore
from g_selfatt.backends.numba.dropout import kept_mask, query_keys, threshold_of
from g_selfatt.backends.numba.factors import compute_factors, factors_of, normalize
from g_selfatt.backends.numba.gradient_room import make_gradient_room
from g_selfatt.backends.numba.images import read, write
from g_selfatt.backends.numba.lanes import (
    across,
    full,
    load,
    multiply_add,
    spread,
    store,
)
from g_selfatt.backends.numba.masks import masked
from g_selfatt.backends.numba.pairs import first_pass, make_pairs, second_pass
from g_selfatt.backends.numba.parallel import next_task, on_all_threads, own_memory


@inner
def _sum_lanes(target, lanes, factor):
    """factor · the sum over the last axis."""
    flat, rows = target.reshape(-1), lanes.reshape(-1, lanes.shape[-1])
    for i in range(flat.size):
        flat[i] = across(load(rows, (i,))) * target.dtype.type(factor)


@inlined
def _share(problem, scratch, room, unit, h, g, position, offsets, least):
    """p and p·mask·dW of one (h, g), and mask·p added to W; returns D."""
    exp_content, exp_position = scratch.exp_content, scratch.exp_position
    keys, coefficient, slots = scratch.weight_keys, scratch.coefficient, scratch.slots
    share, weights, d_weights = room.share, room.weights, room.d_weights
    outputs, elements = problem.index.shape[:2]
    here = load(problem.penalty, (position,))
    zero = full(here, 0.0)
    threshold = threshold_of(problem, here)
    content, row, of = factors_of(scratch, problem.index, h, g, here, offsets, least)
    query_key = query_keys(here, problem.seed, (unit * outputs + h) * elements + g, position)
    inner = zero
    for m in range(elements):
        r = load(coefficient, (of, g, m))
        for o in range(offsets):
            p = load(exp_content, (content, m, o)) * load(exp_position, (row, slots[h, o])) * r
            kept = p
            if problem.threshold > 0:
                kept = masked(p, kept_mask(query_key, keys, m, o, threshold))
            before = zero
            if g > 0:
                before = load(weights, (h, m, o))
            store(weights, (h, m, o), before + kept)
            d = kept * load(d_weights, (h, m, o))
            inner = inner + d
            store(share, (0, m, o), p)
            store(share, (1, m, o), d)
    return inner


@inlined
def _score_gradients(room, inner, h, g, first, offsets):
    """ds = p·mask·dW − p·D of one (h, g), summed into dA, dP (from row ``first`` on) and dR."""
    share, d_content, d_position = room.share, room.d_content, room.d_position
    zero = full(inner, 0.0)
    for m in range(share.shape[1]):
        total = zero
        for o in range(offsets):
            ds = load(share, (1, m, o)) - load(share, (0, m, o)) * inner
            total = total + ds
            of_content, of_position = ds, ds
            if h > 0:
                of_content = ds + load(d_content, (g, m, o))
            if m > 0:
                of_position = ds + load(d_position, (h, first + g, o))
            store(d_content, (g, m, o), of_content)
            store(d_position, (h, first + g, o), of_position)
        store(room.d_group, (h, g, m), total)


@inlined
def _one_by_one(problem, scratch, room, gradients, unit, first, position, offsets, least):
    """W, dA, dP and dR, one (h, g) at a time."""
    outputs, elements = problem.index.shape[:2]
    if outputs > 1:
        normalize(scratch, problem.index, load(problem.penalty, (position,)), offsets, least)
    for h in range(outputs):
        for g in range(elements):
            inner = _share(problem, scratch, room, unit, h, g, position, offsets, least)
            if gradients.wants_scores:
                _score_gradients(room, inner, h, g, first, offsets)


@inner
def _sum_by_row(d_rows, d_position, first, slots, offsets, rows):
    """dP of the rows in sight: the sum over the (h, o) that have a row."""
    for g in range(d_rows.shape[0]):
        for s in range(rows):
            store(d_rows, (g, s), full(load(d_rows, (0, 0)), 0.0))
        for h in range(slots.shape[0]):
            for o in range(offsets):
                s = slots[h, o]
                ds = load(d_position, (h, first + g, o))
                store(d_rows, (g, s), load(d_rows, (g, s)) + ds)


@inlined
def _embedding_gradients(problem, scratch, room):
    """dq[g] += Σ_t dU[g,t]·E[t] and dE[t] += Σ_g dU[g,t]·q[g], dU[g,t] = Σ_{h,m: φ = t} dR."""
    embedding, index = problem.embedding, problem.index
    query, by_row = scratch.query, scratch.by_row
    d_vector, d_embedding, d_group = room.d_vector, room.embeddings, room.d_group
    zero = full(load(query, (0, 0)), 0.0)
    depth = embedding.shape[1]
    skipped = query.shape[1] - depth
    for g in range(query.shape[0]):
        for t in range(embedding.shape[0]):
            store(by_row, (t,), zero)
        for h in range(index.shape[0]):
            for m in range(index.shape[2]):
                t = index[h, g, m]
                store(by_row, (t,), load(by_row, (t,)) + load(d_group, (h, g, m)))
        for t in range(embedding.shape[0]):
            u = load(by_row, (t,))
            for c in range(depth):
                x, e = load(d_vector, (g, skipped + c)), load(d_embedding, (t, c))
                store(d_vector, (g, skipped + c), multiply_add(u, spread(embedding, (t, c)), x))
                store(d_embedding, (t, c), multiply_add(u, load(query, (g, skipped + c)), e))


@inlined
def _differentiate_block(problem, scratch, room, pairs, gradients, unit, block, waiting, least):
    """Add what one block contributes to the gradients of its unit, but for dT (`_add_tables`)."""
    position, offsets, rows = look_around(problem, scratch, block)
    positions, seen = scratch.positions, scratch.seen
    rectangle = seen[2] - seen[1], seen[4] - seen[3]  # of the window, in sight
    compute_factors(problem, scratch, position, offsets, rows)
    copy_block(room.d_mixed, room.d_outs, position)
    correlate(room.d_weights, room.d_mixed, scratch.values, room.blank, positions, offsets)
    outputs, elements = problem.index.shape[:2]
    first = waiting * elements
    paired = outputs % 2 == 0 and elements % 2 == 0
    if paired and first_pass(problem, scratch, pairs, room, unit, position, offsets, least):
        second_pass(scratch, pairs, room, offsets, problem.threshold > 0)
    else:
        _one_by_one(problem, scratch, room, gradients, unit, first, position, offsets, least)
    if gradients.wants_value:
        scatter(room.d_values, room.weights, room.d_mixed, positions, *rectangle)
    if gradients.wants_key:
        scatter(room.d_keys, room.d_content, scratch.query, positions, *rectangle)
    if gradients.wants_scores:
        combine(room.d_vector, room.d_content, scratch.keys, positions, offsets)
        _sum_by_row(room.d_rows, room.d_position, first, scratch.slots, offsets, rows)
        combine_table(room.d_vector, room.d_rows, problem.table, scratch.rows, rows)
        _embedding_gradients(problem, scratch, room)
        paste_block(room.d_queries, room.d_vector, position)
        for g in range(elements):
            for c in range(problem.channels):
                store(room.queries, (first + g, c), load(scratch.query, (g, c)))


@inlined
def _add_tables(scratch, room, gradients, waiting):
    """dT of the blocks that wait, which have the same in sight."""
    if gradients.wants_scores and waiting > 0:
        count = waiting * scratch.query.shape[0]
        offsets = scratch.seen[5]
        scatter_table(room.tables, room.d_position, room.queries, scratch.ids, offsets, count)


@inlined
def _write(problem, room, gradients, unit, extra, start, end):
    """Write the gradients of a unit, as far as these positions contribute."""
    layout, length = problem.layout, problem.penalty.shape[0]
    if gradients.wants_query:
        write(gradients.d_query, room.d_queries, unit, layout, start, end, problem.scale)
    d_key, d_value, place, row = gradients.d_key, gradients.d_value, unit, unit
    if extra >= 0:
        d_key, d_value, place = gradients.extra_key, gradients.extra_value, extra
        row = gradients.d_table.shape[0] - 1 - extra
    if gradients.wants_key:
        write(d_key, room.d_keys, place, layout, 0, length, LN_2)
    if gradients.wants_value:
        write(d_value, room.d_values, place, layout, 0, length, 1.0)
    if gradients.wants_scores:
        _sum_lanes(gradients.d_table[row], room.tables, LN_2)
        _sum_lanes(gradients.d_embedding[row], room.embeddings, LN_2)


@inner
def _differentiate(team, problem, scratch, room, pairs, gradients, kept, least):
    """All of a backward but its room: with ``_nrt`` on, each array in these loops is counted."""
    most = room.queries.shape[0] // scratch.query.shape[0]  # blocks that wait
    first_unit, last_unit, first_block, last_block, extra = next_task(team)
    while first_unit < last_unit:
        start, end = positions_of(problem, first_block, last_block)
        for unit in range(first_unit, last_unit):
            read_unit(problem, scratch, unit)
            read(room.d_outs, gradients.d_out, unit, problem.layout, 1 / kept)
            room.d_keys[:], room.d_values[:], room.embeddings[:], room.tables[:] = 0, 0, 0, 0
            waiting = 0
            for block in range(first_block, last_block):
                if waiting == most or not sees_the_same(problem, scratch, block):
                    _add_tables(scratch, room, gradients, waiting)
                    waiting = 0
                _differentiate_block(
                    problem, scratch, room, pairs, gradients, unit, block, waiting, least
                )
                waiting += 1
            _add_tables(scratch, room, gradients, waiting)
            _write(problem, room, gradients, unit, extra, start, end)
        first_unit, last_unit, first_block, last_block, extra = next_task(team)


@njit
def _work(team, problem, gradients, kept, lanes, least):
    """What one thread does."""
    control = flush_denormals()
    workspace = own_memory(team)
    scratch = make_scratch(problem, workspace, lanes)
    most = scratch.content.shape[2]
    room = make_gradient_room(problem, workspace, most, lanes)
    pairs = make_pairs(problem, workspace, most, lanes)
    _differentiate(team, problem, scratch, room, pairs, gradients, kept, least)
    restore(control)


def _compile(digest: int) -> Callable:
    def backward(team, problem, gradients, kept, lanes, least):
        """Write the gradients.

        Args:
            team: `Team`.
            problem: `Problem`.
            gradients: `Gradients`.
            kept: the share of the weights that dropout keeps.
            lanes: numbers in a register.
            least: the normalizer below which factors have lost digits.
        """
        on_all_threads(
            _work, team.parallel, team.threads, (team, problem, gradients, kept, lanes, least)
        )
        return digest

    return compile_kernel(backward)


backward = _compile(sources_digest())
