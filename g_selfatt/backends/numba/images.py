"""Between torch's tensors, of any strides, and the padded images of one unit (see `Geometry`).

The kernels copy one head of one sample in and out themselves: it stays in the cache, and tensors
whose heads lie inside their channels, as the projections make them, need no copy of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.lanes import BYTES, full, load, store


class Image(NamedTuple):
    """A tensor (parts, B, heads, c, elements, H, W) as kernels see it: memory and strides.

    One Numba type for all strides, so that no layout needs a compilation of its own.
    """

    memory: Any  # (…,)
    strides: tuple[int, ...]  # in elements
    heads: int


def view(tensor: Tensor) -> Image:
    """The memory of ``([parts,] B, heads, c, elements, H, W)``, shared."""
    shape, strides = tensor.shape, tensor.stride()
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    memory = tensor.detach().as_strided((span,), (1,), tensor.storage_offset())
    if len(shape) == 6:  # one part
        strides = (0, *strides)
    return Image(memory.numpy(), strides, shape[-5])


@inlined
def _copy(to, start, source, at, count, factor):
    """to[start…] = factor · source[at…], count numbers, in registers; the last two overlap."""
    lanes = BYTES // to.itemsize
    if count < lanes:
        # Slices, since an index that could be negative keeps LLVM from vectorizing.
        short, piece = to[start : start + count], source[at : at + count]
        for x in range(count):
            short[x] = piece[x] * factor
        return
    factors = full(load(source, (at,)), factor)
    for x in range(0, count - lanes, lanes):
        store(to, (start + x,), load(source, (at + x,)) * factors)
    x = count - lanes
    store(to, (start + x,), load(source, (at + x,)) * factors)


@inner
def read(padded, image, unit, layout, factor):
    """Fill the pixels of ``padded`` (c, elements, length) with factor · one unit of the image."""
    _, of_sample, of_head, of_channel, of_element, of_row, of_pixel = image.strides
    memory = image.memory
    height, width, stride, margin = layout
    first = (unit // image.heads) * of_sample + (unit % image.heads) * of_head
    factor = padded.dtype.type(factor)
    for c in range(padded.shape[0]):
        for e in range(padded.shape[1]):
            line = padded[c, e]
            for y in range(height):
                at = first + c * of_channel + e * of_element + y * of_row
                if of_pixel == 1:
                    _copy(line, margin + y * stride, memory, at, width, factor)
                else:
                    to = line[margin + y * stride :]
                    for x in range(width):
                        to[x] = memory[at + x * of_pixel] * factor


@inner
def write(image, padded, unit, part, layout, least, most, factor):
    """Write factor · the pixels of ``padded`` at positions [least, most) to one unit."""
    of_part, of_sample, of_head, of_channel, of_element, of_row, of_pixel = image.strides
    memory = image.memory
    height, width, stride, margin = layout
    first = part * of_part + (unit // image.heads) * of_sample + (unit % image.heads) * of_head
    factor = padded.dtype.type(factor)
    for c in range(padded.shape[0]):
        for e in range(padded.shape[1]):
            line = padded[c, e]
            for y in range(height):
                at = first + c * of_channel + e * of_element + y * of_row
                start = margin + y * stride
                left = max(least - start, 0)
                count = min(most - start, width) - left
                if count <= 0:
                    continue
                at += left * of_pixel
                if of_pixel == 1:
                    _copy(memory, at, line, start + left, count, factor)
                else:
                    source = line[start + left :]
                    for x in range(count):
                        memory[at + x * of_pixel] = source[x] * factor
