"""Between torch's tensors, of any strides, and the padded images of one unit (see `Geometry`).

The kernels copy one head of one sample in and out themselves: it stays in the cache, and tensors
whose heads lie inside their channels, as the projections make them, need no copy of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from g_selfatt.backends.numba.compiling import inlined, inner
from g_selfatt.backends.numba.lanes import BYTES, full, load, number, store
from g_selfatt.backends.numba.masks import load_first, store_first


class Image(NamedTuple):
    """A tensor (B, heads, c, elements, H, W) as kernels see it: memory and strides.

    One Numba type for all strides, so that no layout needs a compilation of its own.
    """

    memory: Any  # (…,)
    strides: tuple[int, ...]  # in elements
    heads: int


def view(tensor: Tensor) -> Image:
    """The memory of ``(B, heads, c, elements, H, W)``, shared."""
    shape, strides = tensor.shape, tensor.stride()
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    memory = tensor.detach().as_strided((span,), (1,), tensor.storage_offset())
    return Image(memory.numpy(), strides, shape[1])


@inlined
def _copy(to, start, source, at, count, factors):
    """to[start…] = factor · source[at…], count numbers, in registers."""
    lanes = BYTES // to.itemsize
    x = 0
    while x + lanes <= count:
        store(to, (start + x,), load(source, (at + x,)) * factors)
        x += lanes
    if x < count:
        rest = count - x
        store_first(to, (start + x,), rest, load_first(source, (at + x,), rest) * factors)


@inner
def read(padded, image, unit, layout, factor):
    """Fill the pixels of ``padded`` (c, elements, length) with factor · one unit of the image."""
    of_sample, of_head, of_channel, of_element, of_row, of_pixel = image.strides
    memory, flat = image.memory, padded.reshape(-1)
    height, width, stride, margin = layout
    first = (unit // image.heads) * of_sample + (unit % image.heads) * of_head
    factor = padded.dtype.type(factor)
    factors = full(load(flat, (0,)), factor)
    channels, elements, length = padded.shape
    for c in range(channels):
        for e in range(elements):
            start = (c * elements + e) * length + margin
            at = first + c * of_channel + e * of_element
            for _ in range(height):
                if of_pixel == 1:
                    _copy(flat, start, memory, at, width, factors)
                else:
                    for x in range(width):
                        flat[start + x] = number(memory, (at + x * of_pixel,)) * factor
                start += stride
                at += of_row


@inner
def write(image, padded, unit, layout, least, most, factor):
    """Write factor · the pixels of ``padded`` at positions [least, most) to one unit."""
    of_sample, of_head, of_channel, of_element, of_row, of_pixel = image.strides
    memory, flat = image.memory, padded.reshape(-1)
    height, width, stride, margin = layout
    first = (unit // image.heads) * of_sample + (unit % image.heads) * of_head
    factor = padded.dtype.type(factor)
    factors = full(load(flat, (0,)), factor)
    channels, elements, length = padded.shape
    for c in range(channels):
        for e in range(elements):
            line = (c * elements + e) * length
            at = first + c * of_channel + e * of_element
            for y in range(height):
                start = margin + y * stride
                left = max(least - start, 0)
                count = min(most - start, width) - left
                if count <= 0:
                    continue
                source, to = line + start + left, at + y * of_row + left * of_pixel
                if of_pixel == 1:
                    _copy(memory, to, flat, source, count, factors)
                else:
                    for x in range(count):
                        memory[to + x * of_pixel] = number(flat, (source + x,)) * factor
