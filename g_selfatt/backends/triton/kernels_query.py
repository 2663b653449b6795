"""The backward kernels: everything recomputed from the inputs and the log-sum-exps.

dW[h; m,o] = dO[h]·v[m,j]            D[h,g] = Σ_{m,o} p·mask·dW
ds[h,g; m,o] = p·(mask·dW − D)       dv[m,j] = Σ_{h,o} (Σ_g p·mask)·dO[h]
dq = Σ ds·(k + P + E)                dk = Σ ds·q,   dP = Σ ds·q,   dE = Σ ds·q

One program computes each sum, without atomics, so every run gives the same bits. Many programs
contribute to dP and dE: they write their parts side by side, to be summed in a fixed order.
"""

import triton.language as tl

from g_selfatt.backends.triton.parts import (
    at,
    axis,
    count_neighbours,
    group_scores,
    kernel,
    neighbour_scores,
    per_lane,
    softmax_key,
    softmax_pointers,
    unit_offset,
    weights,
)


@kernel
def query_kernel(
    q, q_b, q_n, q_c, q_g, q_p,
    k, k_b, k_n, k_c, k_g, k_p,
    v, v_b, v_n, v_c, v_g, v_p,
    do, do_b, do_n, do_c, do_g, do_p,
    dq, dq_b, dq_n, dq_c, dq_g, dq_p,
    table,  # (h, d, offsets) float32
    embedding,  # (rows, e) float32
    group, index, rows,  # (u, g, rows, pixels), (h, g, m); unused in lifting
    lse,  # (u, h, g, pixels)
    delta,  # out: D (u, h, g, pixels)
    d_embedding,  # out: (u, tile, g, part of m, rows, e)
    seed, threshold, boost, scale, natural_scale, channels, depth,
    heads, outputs, elements, height, width, tiles,
    C: tl.constexpr, D: tl.constexpr, E: tl.constexpr, K_H: tl.constexpr, K_W: tl.constexpr,
    WHOLE_IMAGE: tl.constexpr, GROUP: tl.constexpr, DROPOUT: tl.constexpr,
    CHANNELS: tl.constexpr, EMBEDDED: tl.constexpr,
    OUTPUTS: tl.constexpr, KEYS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """D, dq and the parts of dE: tiles (h, m, i), m in parts of KEYS.

    One program for each (u, tile of pixels, g).
    """
    pid = tl.program_id(0)
    g, tile, unit = pid % elements, (pid // elements) % tiles, pid // (elements * tiles)
    pixels = height * width
    own, real = axis(tile * BLOCK, pixels, 2, BLOCK)
    h, real_h = axis(0, outputs, 0, OUTPUTS)
    across, real_across = axis(0, outputs, 1, OUTPUTS)  # h along the axis of the sum
    channel, real_channel = axis(0, C, 0, CHANNELS)
    count, top = count_neighbours(tile * BLOCK, height, width, K_H, WHOLE_IMAGE, K_W, BLOCK)
    query = at(q + unit_offset(unit, heads, q_b, q_n) + g * q_g, own, q_p)
    keys = k + unit_offset(unit, heads, k_b, k_n)
    values = v + unit_offset(unit, heads, v_b, v_n)
    d_out = at(do + unit_offset(unit, heads, do_b, do_n) + h * do_g, own, do_p)
    encodings = per_lane(table + (across * D + channel) * (K_H * K_W), own, pixels)
    positions = per_lane(table + h * (D * K_H * K_W), own, pixels)
    # Elements h that do not exist get the weight 0.
    lse_i = tl.where(
        real_h,
        tl.load(softmax_pointers(lse, unit, h, g, own, outputs, elements, pixels)),
        float("inf"),
    )
    softmax = tl.zeros([OUTPUTS, 1, 1], tl.uint32)
    if DROPOUT:
        softmax = softmax_key(tl.load(seed), unit, h, g, outputs, elements)

    delta_i = tl.zeros([OUTPUTS, 1, BLOCK], tl.float32)  # D
    total = tl.zeros([OUTPUTS, 1, BLOCK], tl.float32)
    for m_0 in range(0, elements, KEYS):
        m, real_m = axis(m_0, elements, 1, KEYS)
        by_group = group_scores(group, index, unit, h, g, m, own, elements, rows, pixels, GROUP)
        for n in range(count):
            s, other, offset = neighbour_scores(
                n, top, own, query, q_c, keys + m * k_g, k_p, k_c, positions, by_group, real_m,
                height, width, scale, channels, depth, D, K_H, K_W, WHOLE_IMAGE,
            )  # fmt: skip
            p, weight, product = weights(
                s, lse_i, d_out, do_c, at(values + m * v_g, other, v_p), v_c, channels,
                boost, softmax, own, m, offset, threshold, K_H * K_W, DROPOUT,
            )  # fmt: skip
            delta_i += tl.sum(product, axis=1, keep_dims=True)
            total += tl.sum(p, axis=1, keep_dims=True)
    # The weights sum to 1 up to the rounding of the lse. Dividing by their sum makes the gradients
    # of the scores sum to 0. Large queries would multiply a remainder.
    delta_i = delta_i / tl.where(real_h, total, 1.0)
    place = softmax_pointers(delta, unit, h, g, own, outputs, elements, pixels)
    tl.store(place, delta_i, mask=real & real_h)

    gradient = tl.zeros([CHANNELS, 1, BLOCK], tl.float32)
    for m_0 in range(0, elements, KEYS):
        m, real_m = axis(m_0, elements, 1, KEYS)
        d_group = tl.zeros([OUTPUTS, KEYS, BLOCK], tl.float32)
        by_group = group_scores(group, index, unit, h, g, m, own, elements, rows, pixels, GROUP)
        for n in range(count):
            s, other, offset = neighbour_scores(
                n, top, own, query, q_c, keys + m * k_g, k_p, k_c, positions, by_group, real_m,
                height, width, scale, channels, depth, D, K_H, K_W, WHOLE_IMAGE,
            )  # fmt: skip
            p, weight, product = weights(
                s, lse_i, d_out, do_c, at(values + m * v_g, other, v_p), v_c, channels,
                boost, softmax, own, m, offset, threshold, K_H * K_W, DROPOUT,
            )  # fmt: skip
            ds = product - p * delta_i
            key = tl.load(at(keys + (channel * k_c + m * k_g), other, k_p)).to(tl.float32)
            d_content = tl.sum(ds, axis=0, keep_dims=True)  # (1, m, i)
            gradient += tl.sum(d_content * key, axis=1, keep_dims=True)
            if D > 0:
                d_position = tl.sum(ds, axis=1, keep_dims=True)  # (h, 1, i)
                d_position = tl.reshape(d_position, (1, OUTPUTS, BLOCK))
                encoding = tl.load(
                    at(encodings, offset, 1),
                    mask=channel < D, other=0.0,
                )  # fmt: skip
                gradient += tl.sum(d_position * encoding, axis=1, keep_dims=True)
            d_group += ds
        if GROUP:
            row_of = tl.load(per_lane(index + (h * elements + g) * elements + m, own, pixels))
            e, real_e = axis(0, E, 0, EMBEDDED)
            q_group = tl.load(at(query, C - E + e, q_c)).to(tl.float32)
            parts = (elements + KEYS - 1) // KEYS
            part = ((unit * tiles + tile) * elements + g) * parts + m_0 // KEYS
            target = d_embedding + part.to(tl.int64) * rows * E
            for row in range(rows):
                by_row = tl.where(row_of == row, d_group, 0.0)
                by_row = tl.sum(tl.sum(by_row, axis=0, keep_dims=True), axis=1, keep_dims=True)
                encoding = tl.load(
                    per_lane(embedding + row * E + (channel - (C - E)), own, pixels),
                    mask=channel >= C - E, other=0.0,
                )  # fmt: skip
                gradient += by_row * encoding
                by_row = tl.where(real, by_row, 0.0)
                share = tl.sum(by_row * q_group, axis=2, keep_dims=True) * natural_scale
                tl.store(target + row * E + e, share, mask=real_e)
    target = dq + unit_offset(unit, heads, dq_b, dq_n)
    target = at(target + channel * dq_c + g * dq_g, own, dq_p)
    gradient = (gradient * natural_scale).to(dq.dtype.element_ty)
    tl.store(target, gradient, mask=real & real_channel)
