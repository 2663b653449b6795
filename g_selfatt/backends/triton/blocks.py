"""The sizes of the kernels' tiles: powers of two, as Triton requires.

A tile is (first axis, second axis, lanes). The first axis is a whole group, since it is summed
over. The second is cut so that the scores of a lane fit its 255 registers, beside the operands of
the sums over channels. The sizes were chosen with `tests.gpu.compile_kernels`, which counts
registers; their time on a GPU has not been measured.
"""

from __future__ import annotations

LANES = 32  # pixels of a program, which is one warp
SCORES = 32  # of a lane, in the forward and the table's kernel
SCORES_OF_GRADIENTS = 16  # of a lane, in the query's and the key's kernel
PROGRAMS = 4096  # that fill a GPU: 132 processors of an H100 with 32 warps each
MOST_ELEMENTS = 64
MOST_CHANNELS = 128


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def part_of(elements: int, whole: int, scores: int = SCORES) -> int:
    """The length of a tile's second axis, beside a first axis of length `whole`."""
    return min(power_of_two(elements), max(1, scores // power_of_two(whole)))
