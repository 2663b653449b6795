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

from g_selfatt.backends.numba.blocks import (
    LN_2,
    copy_block,
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
from g_selfatt.backends.numba.pairs import gradients, make_pairs, sums
from g_selfatt.backends.numba.workspaces import room, zeros


@inner
def _sum_lanes(target, lanes, factor):
    """factor · the sum over the last axis."""
    flat, rows = target.reshape(-1), lanes.reshape(-1, lanes.shape[-1])
    for i in range(flat.size):
        flat[i] = across(load(rows, (i,))) * factor


@inlined
def _share(problem, scratch, share, weights, d_weights, unit, h, g, position, offsets, least):
    """p and p·mask·dW of one (h, g) into ``share``, mask·p added to W; returns D."""
    exp_content, exp_position = scratch.exp_content, scratch.exp_position
    keys, coefficient = scratch.weight_keys, scratch.coefficient
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
            p = load(exp_content, (content, m, o)) * load(exp_position, (row, o)) * r
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
def _score_gradients(share, inner, d_content, d_position, d_group, h, g, offsets):
    """ds = p·mask·dW − p·D of one (h, g), summed into dA, dP and dR."""
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
                of_position = ds + load(d_position, (h, g, o))
            store(d_content, (g, m, o), of_content)
            store(d_position, (h, g, o), of_position)
        store(d_group, (h, g, m), total)


@inner
def _sum_by_row(d_rows, d_position, slots, offsets, rows):
    """dP of the rows in sight: the sum over the (h, o) that have a row."""
    for g in range(d_rows.shape[0]):
        for s in range(rows):
            store(d_rows, (g, s), full(load(d_rows, (0, 0)), 0.0))
        for h in range(slots.shape[0]):
            for o in range(offsets):
                s = slots[h, o]
                store(d_rows, (g, s), load(d_rows, (g, s)) + load(d_position, (h, g, o)))


@inlined
def _embedding_gradients(d_vector, d_embedding, d_group, scratch, embedding, index):
    """dq[g] += Σ_t dU[g,t]·E[t] and dE[t] += Σ_g dU[g,t]·q[g], dU[g,t] = Σ_{h,m: φ = t} dR."""
    query, by_row = scratch.query, scratch.by_row
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


def _compile(digest: int) -> Callable:
    def backward(
        problem,
        workspace,
        d_out,  # (1, B, heads, c, |H|, H, W), an `Image` as the three that follow
        kept,  # the share of the weights that dropout keeps
        d_query,  # (1, B, heads, c, |G|, H, W)
        d_key,  # (parts, B, heads, c, |G|, H, W)
        d_value,  # (parts, B, heads, c, |G|, H, W)
        d_table,  # (parts, units, |H|, K, d)
        d_embedding,  # (parts, units, |H|, e)
        wants_scores,  # whether any gradient but the value's is wanted
        wants_query,
        wants_key,
        wants_value,
        first_unit,
        last_unit,
        first_block,
        last_block,
        part,
        lanes,
        least,
    ):
        """Write the gradients of some units, as far as these blocks (this part) contribute."""
        control = flush_denormals()
        outputs, elements = problem.index.shape[:2]
        channels, length = problem.channels, problem.penalty.shape[0]
        scratch = make_scratch(problem, workspace, lanes)
        most = scratch.content.shape[2]
        blank = zeros(workspace, (length,))
        d_outs = zeros(workspace, (channels, outputs, length))
        d_queries = room(workspace, (channels, elements, length))
        d_keys = room(workspace, (channels, elements, length))
        d_values = room(workspace, (channels, elements, length))
        embeddings = room(workspace, (*problem.embedding.shape, lanes))  # dE (t, e)
        depth = problem.table.shape[1]
        tables = room(workspace, (*problem.rows.shape, depth, lanes))  # dT (h, o, c)
        d_mixed = room(workspace, (outputs, channels, lanes))  # dO (h, c)
        d_weights = room(workspace, (outputs, elements, most, lanes))  # dW (h, m, o)
        weights = room(workspace, (outputs, elements, most, lanes))  # W (h, m, o)
        d_content = room(workspace, (elements, elements, most, lanes))  # dA (g, m, o)
        d_position = room(workspace, (outputs, elements, most, lanes))  # dP (h, g, o)
        d_rows = room(workspace, (elements, problem.table.shape[0], lanes))  # dP by row (g, s)
        d_group = room(workspace, (outputs, elements, elements, lanes))  # dR (h, g, m)
        share = room(workspace, (2, elements, most, lanes))  # p and p·mask·dW of one (h, g)
        d_vector = room(workspace, (elements, channels, lanes))  # dq (g, c)
        paired = outputs % 2 == 0 and elements % 2 == 0
        pairs = make_pairs(problem, workspace, most, lanes)
        start, end = positions_of(problem, first_block, last_block)
        for unit in range(first_unit, last_unit):
            read_unit(problem, scratch, unit)
            read(d_outs, d_out, unit, problem.layout, 1 / kept)
            d_keys[:], d_values[:], embeddings[:], tables[:] = 0, 0, 0, 0
            for block in range(first_block, last_block):
                position, offsets, rows = look_around(problem, scratch, block)
                positions, ids, seen = scratch.positions, scratch.ids, scratch.seen
                rectangle = seen[2] - seen[1], seen[4] - seen[3]  # of the window, in sight
                compute_factors(problem, scratch, position, offsets, rows)
                copy_block(d_mixed, d_outs, position)
                correlate(d_weights, d_mixed, scratch.values, blank, positions, offsets)
                if paired and sums(
                    problem, scratch, pairs, d_weights, d_group, unit, position, offsets, least
                ):
                    gradients(
                        scratch,
                        pairs,
                        weights,
                        d_weights,
                        d_content,
                        d_position,
                        offsets,
                        problem.threshold > 0,
                    )
                else:
                    if outputs > 1:
                        here = load(problem.penalty, (position,))
                        normalize(scratch, problem.index, here, offsets, least)
                    for h in range(outputs):
                        for g in range(elements):
                            inner = _share(
                                problem,
                                scratch,
                                share,
                                weights,
                                d_weights,
                                unit,
                                h,
                                g,
                                position,
                                offsets,
                                least,
                            )
                            if wants_scores:
                                _score_gradients(
                                    share, inner, d_content, d_position, d_group, h, g, offsets
                                )
                if wants_value:
                    scatter(d_values, weights, d_mixed, positions, *rectangle)
                if wants_key:
                    scatter(d_keys, d_content, scratch.query, positions, *rectangle)
                if wants_scores:
                    combine(d_vector, d_content, scratch.keys, positions, offsets)
                    _sum_by_row(d_rows, d_position, scratch.slots, offsets, rows)
                    combine_table(d_vector, d_rows, problem.table, scratch.rows, rows)
                    scatter_table(tables, d_position, scratch.query, ids, offsets)
                    _embedding_gradients(
                        d_vector, embeddings, d_group, scratch, problem.embedding, problem.index
                    )
                    paste_block(d_queries, d_vector, position)
            if wants_query:
                write(d_query, d_queries, unit, 0, problem.layout, start, end, problem.scale)
            if wants_key:
                write(d_key, d_keys, unit, part, problem.layout, 0, length, LN_2)
            if wants_value:
                write(d_value, d_values, unit, part, problem.layout, 0, length, 1.0)
            if wants_scores:
                factor = tables.dtype.type(LN_2)
                _sum_lanes(d_table[part, unit], tables, factor)
                _sum_lanes(d_embedding[part, unit], embeddings, factor)
        restore(control)
        return digest

    return compile_kernel(backward)


backward = _compile(sources_digest())
