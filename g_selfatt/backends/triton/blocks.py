"""The sizes of the kernels' tiles, all of them: powers of two, as Triton wants.

A tile is (first axis, second axis, lanes). The first axis is a whole group, since it is summed
over; the second is cut so that a lane holds no more scores than its registers do: 255, which also
hold what the sums over channels have in flight. Found by `tests.gpu.compile_kernels`, which shows
what no longer fits; not by time, which has not been measured.
"""

from __future__ import annotations

LANES = 32  # pixels of a program, which is one warp
SCORES = 32  # of a lane, in the forward and the table's kernel
SCORES_OF_GRADIENTS = 16  # of a lane, in the query's and the key's kernel
PROGRAMS = 4096  # that fill a GPU: 132 processors of an H100 with 32 warps each
MOST_ELEMENTS = 64
MOST_CHANNELS = 128


def power_of_two(n: int) -> int:
    """The least one that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def part_of(elements: int, whole: int, scores: int = SCORES) -> int:
    """How many of some elements a tile takes at once beside a whole axis."""
    return min(power_of_two(elements), max(1, scores // power_of_two(whole)))
