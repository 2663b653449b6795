"""The forward kernels. Names as in `parts`; u is a unit, one head of one sample."""

import triton.language as tl

from g_selfatt.backends.triton.parts import (
    at,
    axis,
    contract,
    count_neighbours,
    group_scores,
    keep,
    kernel,
    neighbour_scores,
    per_lane,
    softmax_key,
    softmax_pointers,
    unit_offset,
)


@kernel
def group_kernel(
    q, q_b, q_n, q_c, q_g, q_p,
    embedding,  # (rows, e)
    group,  # out: (u, g, rows, pixels) float32
    heads, elements, rows, pixels, tiles, skipped, scale,
    E: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """q[g,i; c−e:]·E[t] of every row t, from which the others read q·E[φ(h,g,m)].

    One program for each (u, tile of pixels, g).
    """
    pid = tl.program_id(0)
    g, tile, unit = pid % elements, (pid // elements) % tiles, pid // (elements * tiles)
    own, real = axis(tile * BLOCK, pixels, 2, BLOCK)
    row, real_row = axis(0, rows, 0, ROWS)
    query = at(q + unit_offset(unit, heads, q_b, q_n) + skipped * q_c + g * q_g, own, q_p)
    score = contract(query, q_c, per_lane(embedding + row * E, own, pixels), 1, E) * scale
    start = (unit * elements + g).to(tl.int64) * rows * pixels
    tl.store(at(group + start + row * pixels, own, 1), score, mask=real & real_row)


@kernel
def forward_kernel(
    q, q_b, q_n, q_c, q_g, q_p,
    k, k_b, k_n, k_c, k_g, k_p,
    v, v_b, v_n, v_c, v_g, v_p,
    out, out_b, out_n, out_c, out_g, out_p,
    table,  # (h, d, offsets) float32
    group, index, rows,  # (u, g, rows, pixels), (h, g, m); unused in lifting
    lse,  # out: (u, h, g, pixels), log₂ Σ 2^s
    seed, threshold, boost, scale, channels, depth,
    heads, outputs, elements, height, width, tiles,
    C: tl.constexpr, D: tl.constexpr, K_H: tl.constexpr, K_W: tl.constexpr,
    WHOLE_IMAGE: tl.constexpr, GROUP: tl.constexpr, DROPOUT: tl.constexpr,
    CHANNELS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out[h,i] = Σ_{m,j} (Σ_g softmax s) v[m,j]: tiles (g, m, i), m in parts of KEYS.

    One program for each (u, tile of pixels, h). It computes the scores twice, for the log-sum-exps
    and for the weights: the sum over g precedes the values, and needs the log-sum-exp of every g.
    """
    pid = tl.program_id(0)
    h, tile, unit = pid % outputs, (pid // outputs) % tiles, pid // (outputs * tiles)
    pixels = height * width
    own, real = axis(tile * BLOCK, pixels, 2, BLOCK)
    g, real_g = axis(0, elements, 0, QUERIES)
    channel, real_channel = axis(0, C, 0, CHANNELS)
    count, top = count_neighbours(tile * BLOCK, height, width, K_H, WHOLE_IMAGE, K_W, BLOCK)
    query = at(q + unit_offset(unit, heads, q_b, q_n) + g * q_g, own, q_p)
    keys = k + unit_offset(unit, heads, k_b, k_n)
    values = v + unit_offset(unit, heads, v_b, v_n)
    positions = per_lane(table + h * (D * K_H * K_W), own, pixels)
    highest = tl.full([QUERIES, 1, BLOCK], -3e38, tl.float32)  # finite: −∞ − −∞ is NaN
    total = tl.zeros([QUERIES, 1, BLOCK], tl.float32)
    for m_0 in range(0, elements, KEYS):
        m, real_m = axis(m_0, elements, 1, KEYS)
        by_group = group_scores(group, index, unit, h, g, m, own, elements, rows, pixels, GROUP)
        for n in range(count):
            s, other, offset = neighbour_scores(
                n, top, own, query, q_c, keys + m * k_g, k_p, k_c, positions, by_group, real_m,
                height, width, scale, channels, depth, D, K_H, K_W, WHOLE_IMAGE,
            )  # fmt: skip
            higher = tl.maximum(highest, tl.max(s, axis=1, keep_dims=True))
            total = total * tl.exp2(highest - higher)
            total += tl.sum(tl.exp2(s - higher), axis=1, keep_dims=True)
            highest = higher
    lse_i = highest + tl.log2(total)
    place = softmax_pointers(lse, unit, h, g, own, outputs, elements, pixels)
    tl.store(place, lse_i, mask=real & real_g)
    # The weights use the maximum and the sum, not the lse, which rounds the sum away where scores
    # are large. Elements g that do not exist get the weight 0.
    highest = tl.where(real_g, highest, float("inf"))
    share = 1 / total

    if DROPOUT:
        softmax = softmax_key(tl.load(seed), unit, h, g, outputs, elements)
    mixed = tl.zeros([CHANNELS, 1, BLOCK], tl.float32)
    for m_0 in range(0, elements, KEYS):
        m, real_m = axis(m_0, elements, 1, KEYS)
        by_group = group_scores(group, index, unit, h, g, m, own, elements, rows, pixels, GROUP)
        for n in range(count):
            s, other, offset = neighbour_scores(
                n, top, own, query, q_c, keys + m * k_g, k_p, k_c, positions, by_group, real_m,
                height, width, scale, channels, depth, D, K_H, K_W, WHOLE_IMAGE,
            )  # fmt: skip
            p = tl.exp2(s - highest) * share
            if DROPOUT:
                p = tl.where(keep(softmax, own, m, offset, threshold, K_H * K_W), p, 0.0)
            weight = tl.sum(p, axis=0, keep_dims=True)  # (1, m, i)
            value = tl.load(at(values + (channel * v_c + m * v_g), other, v_p)).to(tl.float32)
            mixed += tl.sum(weight * value, axis=1, keep_dims=True)
    target = out + unit_offset(unit, heads, out_b, out_n)
    target = at(target + channel * out_c + h * out_g, own, out_p)
    tl.store(target, (mixed * boost).to(out.dtype.element_ty), mask=real & real_channel)
