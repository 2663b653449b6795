"""What the kernels share: scores, the pixels that a tile meets, and the mask of the dropout.

A program is one warp with one pixel per lane. All of its tensors have three axes, the last of which
is the pixels; the first two lie in registers, so that no sum but those over pixels leaves a lane,
and nothing needs shared memory. An axis that does not matter has length 1 and is broadcast.

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
    """`start` … `start + LENGTH − 1` along an axis, the excess repeating the last; which are real.

    Repetition instead of masks: what is read twice is real, and only stores and sums need care.
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
    """Pointers to these pixels, which lie side by side, as Triton is told.

    It need not be true, and gives no wider loads, since nothing is known of the alignment. It makes
    all versions of Triton put the lanes along the pixels; without, some put them along another axis
    for each load, and what is loaded crosses lanes through shared memory.
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

    The content is computed over the elements g and m only, the position over h and g only, as far
    as the tile has these axes: the pointers' shapes say so.
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
    """Where (unit, h, g, pixel) lies in what there is once for each softmax."""
    start = unit.to(tl.int64) * outputs * elements * pixels
    return at(base + start + (h * elements + g) * pixels, pixel, 1)


@triton.jit
def count_visits(
    first, height, width, K_H: tl.constexpr, EVERY_PAIR: tl.constexpr, K_W: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The displacements that the tile's pixels can meet: how many, and the topmost row of them.

    Where every pair of pixels meets, pixels are counted instead of displacements, of which there
    are four times as many.
    """
    last = tl.minimum(first + BLOCK, height * width) - 1
    top = tl.maximum(-(K_H // 2), -(last // width))
    bottom = tl.minimum(K_H // 2, height - 1 - first // width)
    count = (bottom - top + 1) * K_W
    if EVERY_PAIR:
        count = height * width
    return count, top


@triton.jit
def meet(
    n, top, own, height, width, SIGN: tl.constexpr,
    K_H: tl.constexpr, K_W: tl.constexpr, EVERY_PAIR: tl.constexpr,
):  # fmt: skip
    """The n-th pixel that each lane's own meets, the offset in the table, and whether it exists.

    SIGN is 1 where the own pixel is the query and −1 where it is the key. A pixel that does not
    exist is replaced by the own one, which is in every window: what is read there and multiplied
    with 0 is then no NaN that the lane would not have met anyway.
    """
    y, x = own // width, own % width
    if EVERY_PAIR:
        dy, dx = n // width - y, n % width - x
    else:
        dy, dx = top + n // K_W, n % K_W - K_W // 2
    row, column = y + dy, x + dx
    seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    offset = (SIGN * dy + K_H // 2) * K_W + SIGN * dx + K_W // 2
    return tl.where(seen, row * width + column, own), offset, seen


@triton.jit
def mix(bits):
    """A 32-bit hash of 32 bits (Wellons' lowbias32)."""
    bits = (bits ^ (bits >> 16)) * 0x21F0AAAD
    bits = (bits ^ (bits >> 15)) * 0xD35A2D97
    return bits ^ (bits >> 15)


@triton.jit
def softmax_key(seed, unit, h, g, outputs, elements):
    """A hash of the seed and of which softmax it is, its pixel apart."""
    row = (unit * outputs + h) * elements + g
    high = (seed >> 32).to(tl.uint32)
    return mix(mix(row.to(tl.uint32) + seed.to(tl.uint32)) ^ high)


@triton.jit
def keep(softmax, query_pixel, m, offset, threshold, OFFSETS: tl.constexpr):
    """Which weights survive the dropout: a hash of the weight's place, the same in every kernel.

    The keys are mixed thoroughly where they are few, and joined by two multiplications for each
    weight. The last shift of the hash is left out: it improves low bits, and what is compared with
    the threshold is decided by the high ones.
    """
    weight = mix(mix(query_pixel.to(tl.uint32)) + (m * OFFSETS + offset).to(tl.uint32))
    bits = (softmax ^ weight) * 0x21F0AAAD
    bits = (bits ^ (bits >> 15)) * 0xD35A2D97
    return bits >= threshold.to(tl.uint32)


@triton.jit
def spread(p, d_weight, softmax, query_pixel, m, offset, threshold, OFFSETS, DROPOUT: tl.constexpr):
    """p·mask and p·mask·dW."""
    kept = p
    if DROPOUT:
        kept = tl.where(keep(softmax, query_pixel, m, offset, threshold, OFFSETS), p, 0.0)
    return kept, kept * d_weight
