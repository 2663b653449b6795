"""What the kernels share: scores, the neighbours of a tile of pixels, and the mask of the dropout.

A program is one warp with one pixel per lane. All of its tensors have three axes, the last of which
is the pixels. The first two lie in registers: only sums over pixels leave a lane, and nothing needs
shared memory. An axis that does not matter has length 1 and is broadcast.

Scores carry a factor log₂e, which makes exp an exp2: the name `scale` includes it in all kernels.
"""

import inspect

import triton
import triton.language as tl


def kernel(function):
    """`triton.jit` that compiles once for all sizes and strides.

    Triton would compile again for integers that are 1 or divisible by 16, and give some of the
    loads a layout of their own, four pixels to a lane: then every sum would cross lanes.
    """
    parameters = inspect.signature(function).parameters.values()
    sizes = [p.name for p in parameters if p.annotation is not tl.constexpr]
    return triton.jit(function, do_not_specialize=sizes)


@triton.jit
def unit_offset(unit, heads, stride_b, stride_n):
    """Where a unit, one head of one sample, begins: the only offset that may need 64 bits."""
    return (unit // heads).to(tl.int64) * stride_b + (unit % heads).to(tl.int64) * stride_n


@triton.jit
def axis(start, count, AXIS: tl.constexpr, LENGTH: tl.constexpr):
    """`start` … `start + LENGTH − 1` along an axis, clamped to `count − 1`; which of them are real.

    Clamping replaces masks on loads: every address is valid. Stores and sums mask what is not real.
    """
    i = start + tl.arange(0, LENGTH)
    if AXIS == 0:
        i = i[:, None, None]
    elif AXIS == 1:
        i = i[None, :, None]
    else:
        i = i[None, None, :]
    return tl.minimum(i, count - 1), i < count


@triton.jit
def at(pointers, pixel, stride):
    """Pointers to these pixels, with the hint that they are contiguous.

    The hint need not be true: the alignment is unknown, so it gives no wider loads. It makes all
    versions of Triton put the lanes along the pixels. Without it, some put the lanes of a load on
    another axis, and its values cross lanes through shared memory.
    """
    return tl.max_contiguous(pointers + pixel * stride, [1, 1, 32])


@triton.jit
def per_lane(pointers, own, pixels):
    """The same pointers in every lane, plus a zero that the compiler cannot fold away."""
    return at(pointers, own // pixels, 1)


@triton.jit
def contract(x, x_c, y, y_c, count):
    """Σ_c x[c]·y[c] in float32, over the shape to which the two tensors of pointers broadcast."""
    total = tl.load(x).to(tl.float32) * tl.load(y).to(tl.float32)
    for c in range(1, count):
        left, right = tl.load(at(x, c, x_c)), tl.load(at(y, c, y_c))
        total += left.to(tl.float32) * right.to(tl.float32)
    return total


@triton.jit
def scores(
    q, q_c, k, k_c, table, offsets, group, seen, scale, channels, depth, D: tl.constexpr
):  # fmt: skip
    """q·k + q[:d]·P + q[c−e:]·E, times the scale, −∞ where not seen.

    The shapes of the pointers decide over which axes a product is computed: the content over g and
    m, the position over h and g.
    """
    s = contract(q, q_c, k, k_c, channels)
    if D > 0:
        s = s + contract(q, q_c, table, offsets, depth)
    return tl.where(seen, s * scale + group, float("-inf"))


@triton.jit
def group_scores(
    group, index, unit, h, g, m, pixel, elements, rows, pixels, GROUP: tl.constexpr
):  # fmt: skip
    """q[c−e:]·E[φ(h,g,m)] of the queries at `pixel`; nothing in lifting."""
    score = 0.0
    if GROUP:
        row = tl.load(per_lane(index + ((h * elements + g) * elements + m), pixel, pixels))
        start = unit.to(tl.int64) * elements * rows * pixels
        place = group + start + (g * rows + row.to(tl.int32)) * pixels
        score = tl.load(at(place, pixel, 1))
    return score


@triton.jit
def softmax_pointers(base, unit, h, g, pixel, outputs, elements, pixels):
    """Pointers into a tensor with one number for each softmax: ``(unit, h, g, pixel)``."""
    start = unit.to(tl.int64) * outputs * elements * pixels
    return at(base + start + (h * elements + g) * pixels, pixel, 1)


@triton.jit
def count_neighbours(
    first, height, width, K_H: tl.constexpr, WHOLE_IMAGE: tl.constexpr, K_W: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The number of displacements to neighbours of the tile's pixels, and the topmost row of them.

    If the window is the whole image, pixels are counted: displacements are four times as many.
    """
    last = tl.minimum(first + BLOCK, height * width) - 1
    top = tl.maximum(-(K_H // 2), -(last // width))
    bottom = tl.minimum(K_H // 2, height - 1 - first // width)
    count = (bottom - top + 1) * K_W
    if WHOLE_IMAGE:
        count = height * width
    return count, top


@triton.jit
def neighbour(
    n, top, own, height, width, SIGN: tl.constexpr,
    K_H: tl.constexpr, K_W: tl.constexpr, WHOLE_IMAGE: tl.constexpr,
):  # fmt: skip
    """The n-th neighbour of each lane's own pixel, its offset in the table, and whether it exists.

    SIGN is 1 if the own pixel is the query and −1 if it is the key. Outside the image, the own
    pixel replaces the neighbour. Its value is multiplied by 0. A NaN in it reaches the result
    anyway, since a pixel is in its own window.
    """
    y, x = own // width, own % width
    if WHOLE_IMAGE:
        dy, dx = n // width - y, n % width - x
    else:
        dy, dx = top + n // K_W, n % K_W - K_W // 2
    row, column = y + dy, x + dx
    seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    offset = (SIGN * dy + K_H // 2) * K_W + SIGN * dx + K_W // 2
    return tl.where(seen, row * width + column, own), offset, seen


@triton.jit
def neighbour_scores(
    n, top, own, query, q_c, keys, k_p, k_c, positions, by_group, real,
    height, width, scale, channels, depth,
    D: tl.constexpr, K_H: tl.constexpr, K_W: tl.constexpr, WHOLE_IMAGE: tl.constexpr,
):  # fmt: skip
    """The scores of the n-th neighbours as keys, their pixels, and their offsets in the table."""
    other, offset, seen = neighbour(n, top, own, height, width, 1, K_H, K_W, WHOLE_IMAGE)
    s = scores(
        query, q_c, at(keys, other, k_p), k_c, at(positions, offset, 1), K_H * K_W,
        by_group, seen & real, scale, channels, depth, D,
    )  # fmt: skip
    return s, other, offset


@triton.jit
def mix(bits):
    """A 32-bit hash of 32 bits (Wellons' lowbias32)."""
    bits = (bits ^ (bits >> 16)) * 0x21F0AAAD
    bits = (bits ^ (bits >> 15)) * 0xD35A2D97
    return bits ^ (bits >> 15)


@triton.jit
def softmax_key(seed, unit, h, g, outputs, elements):
    """A hash of the seed, the unit, h and g; `keep` adds the pixel."""
    row = (unit * outputs + h) * elements + g
    high = (seed >> 32).to(tl.uint32)
    return mix(mix(row.to(tl.uint32) + seed.to(tl.uint32)) ^ high)


@triton.jit
def keep(softmax, query_pixel, m, offset, threshold, OFFSETS: tl.constexpr):
    """The weights that dropout keeps: a hash of the weight's place, the same in every kernel.

    The keys of softmaxes and pixels are few and are mixed with the full hash. Each weight then
    costs two multiplications. The last shift of the hash only improves the low bits, and the
    comparison with the threshold depends on the high ones, so it is left out.
    """
    weight = mix(mix(query_pixel.to(tl.uint32)) + (m * OFFSETS + offset).to(tl.uint32))
    bits = (softmax ^ weight) * 0x21F0AAAD
    bits = (bits ^ (bits >> 15)) * 0xD35A2D97
    return bits >= threshold.to(tl.uint32)


@triton.jit
def weights(
    s, lse, d_out, do_c, value, v_c, channels, boost,
    softmax, query_pixel, m, offset, threshold, OFFSETS, DROPOUT: tl.constexpr,
):  # fmt: skip
    """p, p·mask and p·mask·dW of scores, for the backward."""
    p = tl.exp2(s - lse)
    d_weight = contract(d_out, do_c, value, v_c, channels) * boost
    kept = p
    if DROPOUT:
        kept = tl.where(keep(softmax, query_pixel, m, offset, threshold, OFFSETS), p, 0.0)
    return p, kept, kept * d_weight
