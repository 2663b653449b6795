"""The gradients of keys and values; formulas in `kernels_query`."""

import triton.language as tl

from g_selfatt.backends.triton.parts import (
    at,
    axis,
    count_neighbours,
    group_scores,
    kernel,
    neighbour,
    per_lane,
    scores,
    softmax_key,
    softmax_pointers,
    unit_offset,
    weights,
)


@kernel
def key_kernel(
    q, q_b, q_n, q_c, q_g, q_p,
    k, k_b, k_n, k_c, k_g, k_p,
    v, v_b, v_n, v_c, v_g, v_p,
    do, do_b, do_n, do_c, do_g, do_p,
    dk, dk_b, dk_n, dk_c, dk_g, dk_p,
    dv, dv_b, dv_n, dv_c, dv_g, dv_p,
    table,  # (h, d, offsets) float32
    group, index, rows,  # (u, g, rows, pixels), (h, g, m); unused in lifting
    lse, delta,  # (u, h, g, pixels)
    seed, threshold, boost, scale, natural_scale, channels, depth,
    heads, outputs, elements, height, width, tiles,
    C: tl.constexpr, D: tl.constexpr, K_H: tl.constexpr, K_W: tl.constexpr,
    WHOLE_IMAGE: tl.constexpr, GROUP: tl.constexpr, DROPOUT: tl.constexpr,
    CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr, QUERIES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dk and dv: the lanes are keys j, their queries i with i + δ = j; tiles (h, g, j).

    One program for each (u, tile of pixels, m), h in parts of OUTPUTS.
    """
    pid = tl.program_id(0)
    m, tile, unit = pid % elements, (pid // elements) % tiles, pid // (elements * tiles)
    pixels = height * width
    own, real = axis(tile * BLOCK, pixels, 2, BLOCK)
    g, real_g = axis(0, elements, 1, QUERIES)
    channel, real_channel = axis(0, C, 0, CHANNELS)
    across, real_across = axis(0, C, 1, CHANNELS)  # channels along the axis that is not h
    count, top = count_neighbours(tile * BLOCK, height, width, K_H, WHOLE_IMAGE, K_W, BLOCK)
    queries = q + unit_offset(unit, heads, q_b, q_n)
    key = at(k + unit_offset(unit, heads, k_b, k_n) + m * k_g, own, k_p)
    value = at(v + unit_offset(unit, heads, v_b, v_n) + m * v_g, own, v_p)
    d_outs = do + unit_offset(unit, heads, do_b, do_n)
    d_key = tl.zeros([CHANNELS, 1, BLOCK], tl.float32)
    d_value = tl.zeros([1, CHANNELS, BLOCK], tl.float32)
    for h_0 in range(0, outputs, OUTPUTS):
        h, real_h = axis(h_0, outputs, 0, OUTPUTS)
        positions = per_lane(table + h * (D * K_H * K_W), own, pixels)
        softmax = tl.zeros([OUTPUTS, QUERIES, 1], tl.uint32)
        if DROPOUT:
            softmax = softmax_key(tl.load(seed), unit, h, g, outputs, elements)
        for n in range(count):
            other, offset, seen = neighbour(n, top, own, height, width, -1, K_H, K_W, WHOLE_IMAGE)
            by_group = group_scores(
                group, index, unit, h, g, m, other, elements, rows, pixels, GROUP
            )
            s = scores(
                at(queries + g * q_g, other, q_p), q_c, key, k_c,
                at(positions, offset, 1), K_H * K_W,
                by_group, seen & real_g & real_h, scale, channels, depth, D,
            )  # fmt: skip
            place = softmax_pointers(lse, unit, h, g, other, outputs, elements, pixels)
            p, weight, product = weights(
                s, tl.load(place), at(d_outs + h * do_g, other, do_p), do_c, value, v_c, channels,
                boost, softmax, other, m, offset, threshold, K_H * K_W, DROPOUT,
            )  # fmt: skip
            place = softmax_pointers(delta, unit, h, g, other, outputs, elements, pixels)
            ds = product - p * tl.load(place)
            d_out = tl.load(at(d_outs + (across * do_c + h * do_g), other, do_p)).to(tl.float32)
            weight = tl.sum(weight, axis=1, keep_dims=True)  # (h, 1, j)
            d_value += tl.sum(weight * d_out, axis=0, keep_dims=True)
            query = tl.load(at(queries + (channel * q_c + g * q_g), other, q_p)).to(tl.float32)
            d_content = tl.sum(ds, axis=0, keep_dims=True)  # (1, g, j)
            d_key += tl.sum(d_content * query, axis=1, keep_dims=True)
    target = dk + unit_offset(unit, heads, dk_b, dk_n) + channel * dk_c + m * dk_g
    target = at(target, own, dk_p)
    tl.store(target, (d_key * natural_scale).to(dk.dtype.element_ty), mask=real & real_channel)
    target = dv + unit_offset(unit, heads, dv_b, dv_n) + across * dv_c + m * dv_g
    target = at(target, own, dv_p)
    tl.store(target, (d_value * boost).to(dv.dtype.element_ty), mask=real & real_across)
