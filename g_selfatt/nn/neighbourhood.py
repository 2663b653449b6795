"""The keys that a query sees: a window or the whole image. Local and global differ in it only."""

from __future__ import annotations

from dataclasses import dataclass

from g_selfatt.nn.checks import whole_numbers


@dataclass(frozen=True)
class Window:
    """A k×k window around the query.

    Attributes:
        patch_size: side k in pixels, odd.

    Raises:
        ValueError: an even or non-positive side.
    """

    patch_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", *whole_numbers(patch_size=self.patch_size))
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size must be odd, got {self.patch_size}")

    @property
    def reach(self) -> int:
        """The offset in pixels that is coordinate 1: the edge of the window."""
        return self.patch_size // 2

    def window(self, height: int, width: int) -> tuple[int, int]:
        """The sides of the window of offsets in an image of this size, odd."""
        return self.patch_size, self.patch_size


@dataclass(frozen=True)
class WholeImage:
    """All pixels of the image.

    Attributes:
        max_pos_embedding: side in pixels of the images that the layer is made for.

    Raises:
        ValueError: a non-positive side.
    """

    max_pos_embedding: int

    def __post_init__(self) -> None:
        (side,) = whole_numbers(max_pos_embedding=self.max_pos_embedding)
        object.__setattr__(self, "max_pos_embedding", side)

    @property
    def reach(self) -> int:
        """The offset in pixels that is coordinate 1: the largest in an image of that side."""
        return self.max_pos_embedding - 1

    def window(self, height: int, width: int) -> tuple[int, int]:
        """The sides of the window that holds every offset of an image of this size, odd."""
        return 2 * height - 1, 2 * width - 1
