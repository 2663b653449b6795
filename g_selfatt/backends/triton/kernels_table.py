"""The gradient of the positional table; formulas in `kernels_query`."""

import triton.language as tl

from g_selfatt.backends.triton.parts import (
    at,
    axis,
    group_scores,
    kernel,
    per_lane,
    scores,
    softmax_key,
    softmax_pointers,
    unit_offset,
    weights,
)


@kernel
def table_kernel(
    q, q_b, q_n, q_c, q_g, q_p,
    k, k_b, k_n, k_c, k_g, k_p,
    v, v_b, v_n, v_c, v_g, v_p,
    do, do_b, do_n, do_c, do_g, do_p,
    table,  # (h, d, offsets) float32
    d_table,  # out: (split, h, d, offsets)
    group, index, rows,  # (u, g, rows, pixels), (h, g, m); unused in lifting
    lse, delta,  # (u, h, g, pixels)
    seed, threshold, boost, scale, natural_scale, channels, depth,
    units, heads, outputs, elements, height, width, splits,
    C: tl.constexpr, D: tl.constexpr, K_H: tl.constexpr, K_W: tl.constexpr,
    GROUP: tl.constexpr, DROPOUT: tl.constexpr,
    DEPTH: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dP of one (h, δ), summed over units and pixels: tiles (g, m, i), m in parts of KEYS.

    One program for each (split, h, δ); the splits share the tiles. The lanes are the queries that
    have a key at δ, a rectangle of the image, so no lane idles.
    """
    pid = tl.program_id(0)
    offset, h, split = pid % (K_H * K_W), pid // (K_H * K_W) % outputs, pid // (K_H * K_W * outputs)
    dy, dx = offset // K_W - K_H // 2, offset % K_W - K_W // 2
    across = width - tl.abs(dx)
    pixels = height * width
    seeing = (height - tl.abs(dy)) * across
    tiles = (seeing + BLOCK - 1) // BLOCK
    g, real_g = axis(0, elements, 0, QUERIES)
    d, real_d = axis(0, D, 1, DEPTH)
    gradient = tl.zeros([1, DEPTH, BLOCK], tl.float32)
    for item in range(split, units * tiles, splits):
        unit = item // tiles
        place, real = axis((item % tiles) * BLOCK, seeing, 2, BLOCK)
        own = (place // across + tl.maximum(-dy, 0)) * width
        own += place % across + tl.maximum(-dx, 0)
        other = own + dy * width + dx
        queries = q + unit_offset(unit, heads, q_b, q_n) + g * q_g
        query = at(queries, own, q_p)
        keys = k + unit_offset(unit, heads, k_b, k_n)
        values = v + unit_offset(unit, heads, v_b, v_n)
        d_out = at(do + unit_offset(unit, heads, do_b, do_n) + h * do_g, own, do_p)
        positions = per_lane(table + (h * (D * K_H * K_W) + offset), own, pixels)
        place = softmax_pointers(lse, unit, h, g, own, outputs, elements, pixels)
        lse_i = tl.load(place)
        place = softmax_pointers(delta, unit, h, g, own, outputs, elements, pixels)
        delta_i = tl.load(place)
        softmax = tl.zeros([QUERIES, 1, 1], tl.uint32)
        if DROPOUT:
            softmax = softmax_key(tl.load(seed), unit, h, g, outputs, elements)
        d_position = tl.zeros([QUERIES, 1, BLOCK], tl.float32)
        for m_0 in range(0, elements, KEYS):
            m, real_m = axis(m_0, elements, 1, KEYS)
            by_group = group_scores(group, index, unit, h, g, m, own, elements, rows, pixels, GROUP)
            s = scores(
                query, q_c, at(keys + m * k_g, other, k_p), k_c, positions, K_H * K_W,
                by_group, real & real_g & real_m, scale, channels, depth, D,
            )  # fmt: skip
            p, weight, product = weights(
                s, lse_i, d_out, do_c, at(values + m * v_g, other, v_p), v_c, channels,
                boost, softmax, own, m, offset, threshold, K_H * K_W, DROPOUT,
            )  # fmt: skip
            d_position += tl.sum(product - p * delta_i, axis=1, keep_dims=True)
        by_channel = tl.load(at(queries + d * q_c, own, q_p)).to(tl.float32)  # (g, d, i)
        gradient += tl.sum(d_position * by_channel, axis=0, keep_dims=True)
    total = tl.sum(gradient, axis=2, keep_dims=True) * natural_scale
    target = d_table + (split * outputs + h).to(tl.int64) * (D * K_H * K_W)
    tl.store(target + d * (K_H * K_W) + offset, total, mask=real_d)
