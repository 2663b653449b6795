"""Random transformations of a batch, split into a draw on the CPU and its application anywhere.

The draws of a whole epoch are made at once from one CPU generator. The same seed therefore gives
the same pictures on every device, and applying them never waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # records of data sets hold transformations, and must not wait for torch
    import torch
    from torch import Tensor


class Transform(Protocol):
    """A random transformation: ``draw`` chooses, calling it applies what was chosen."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose for ``count`` images; the first axis of the result is theirs."""

    def __call__(self, images: Tensor, choice: Tensor) -> Tensor:
        """Apply ``choice`` to images (B, C, H, W) of any dtype; the shape is kept."""


@dataclass(frozen=True)
class Turns:
    """Rotate about the centre by any angle, bilinear; black comes in at the corners."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose angles in degrees, float32 (count,), uniform in [0, 360)."""
        import torch

        return 360 * torch.rand(count, generator=generator)

    def __call__(self, images: Tensor, choice: Tensor) -> Tensor:
        """Turn square images (B, C, H, H) counter-clockwise, each by its own angle (B,)."""
        import torch
        import torch.nn.functional as F

        cos, sin = torch.deg2rad(choice).cos(), torch.deg2rad(choice).sin()
        zero = torch.zeros_like(cos)
        # From an output pixel (x right, y down) to where its value is in the input.
        inverse = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
        turned = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
        return turned.round().to(images.dtype)


@dataclass(frozen=True)
class QuarterTurns:
    """Rotate by 0°, 90°, 180° or 270° counter-clockwise, each as likely as the others."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose the number of quarter turns, int64 (count,)."""
        import torch

        return torch.randint(4, (count,), generator=generator)

    def __call__(self, images: Tensor, choice: Tensor) -> Tensor:
        """Turn square images (B, C, H, H), each by its own number of quarter turns (B,)."""
        import torch

        # All four and a selection: indexing by ``choice == k`` would wait for the device.
        turned = torch.stack([images.rot90(turns, (2, 3)) for turns in range(4)])
        return turned[choice, torch.arange(len(images), device=images.device)]


@dataclass(frozen=True)
class Mirrors:
    """Swap left and right with probability one half."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose which images are mirrored, bool (count,)."""
        import torch

        return torch.randint(2, (count,), generator=generator).bool()

    def __call__(self, images: Tensor, choice: Tensor) -> Tensor:
        """Mirror the images (B, C, H, W) that ``choice`` (B,) marks."""
        import torch

        return torch.where(choice[:, None, None, None], images.flip(3), images)


@dataclass(frozen=True)
class Shifts:
    """Move by up to ``pixels`` pixels down and right (negative: up and left); black comes in."""

    pixels: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose the moves (rows, columns), int64 (count, 2)."""
        import torch

        return torch.randint(-self.pixels, self.pixels + 1, (count, 2), generator=generator)

    def __call__(self, images: Tensor, choice: Tensor) -> Tensor:
        """Move images (B, C, H, W), each by its own (rows, columns) (B, 2)."""
        import torch

        height, width = images.shape[2:]
        padded = torch.nn.functional.pad(images, [self.pixels] * 4)
        source = self.pixels - choice[:, :, None]  # (B, 2, 1)
        rows = source[:, 0] + torch.arange(height, device=images.device)  # (B, H)
        columns = source[:, 1] + torch.arange(width, device=images.device)  # (B, W)
        moved = torch.take_along_dim(padded, rows[:, None, :, None], dim=2)
        return torch.take_along_dim(moved, columns[:, None, None, :], dim=3)
