"""Rotate and mirror feature maps: exactly where the pixel grid allows it, bilinearly elsewhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def preserves_grid(matrix: Tensor) -> bool:
    """Whether a ``(2, 2)`` matrix on (row, col) maps the pixel grid to itself, exactly."""
    return bool((matrix == matrix.round()).all())


def snap_to_grid(matrices: Tensor) -> Tensor:
    """Make those of ``(…, 2, 2)`` exact that map the grid to itself but for rounding."""
    whole = matrices.round()
    near = (matrices - whole).abs().amax(dim=(-2, -1), keepdim=True) < 1e-9
    return torch.where(near, whole, matrices)


def transform_plane(signal: Tensor, matrix: Tensor) -> Tensor:
    """Act on a signal by a rotation or mirror about its centre: ``f'(p) = f(M⁻¹p)``.

    Args:
        signal: map of shape ``(…, H, W)``.
        matrix: orthogonal matrix ``(2, 2)`` on (row, col).

    Returns:
        ``(…, H, W)``, or ``(…, W, H)`` for an exact quarter turn. A matrix that maps the grid to
        itself permutes pixels; any other interpolates bilinearly, with zeros outside.

    Raises:
        ValueError: integers that would have to be interpolated.
    """
    if preserves_grid(matrix):
        return _permute_pixels(signal, matrix)
    return _interpolate(signal, matrix)


def inscribed_disc(signal: Tensor) -> Tensor:
    """``(H, W)`` mask of the pixels that no rotation carries out of the image ``(…, H, W)``."""
    height, width = signal.shape[-2:]
    rows = torch.arange(height, device=signal.device) - (height - 1) / 2
    cols = torch.arange(width, device=signal.device) - (width - 1) / 2
    radius = (min(height, width) - 1) / 2
    return rows[:, None] ** 2 + cols**2 <= radius**2


def _permute_pixels(signal: Tensor, matrix: Tensor) -> Tensor:
    # M = P·S with signs S = diag(±1) first and a swap P of the axes after: flip, then transpose.
    swap = bool(matrix[0, 0] == 0)
    row_sign, col_sign = (matrix[1, 0], matrix[0, 1]) if swap else (matrix[0, 0], matrix[1, 1])
    flips = [axis for axis, sign in ((-2, row_sign), (-1, col_sign)) if sign < 0]
    signal = signal.flip(flips) if flips else signal
    return signal.transpose(-2, -1) if swap else signal


def _interpolate(signal: Tensor, matrix: Tensor) -> Tensor:
    if not signal.is_floating_point():
        raise ValueError(
            f"a turn between the pixels interpolates: expected a floating-point map, got "
            f"{signal.dtype}"
        )
    height, width = signal.shape[-2:]
    rows = torch.arange(height, dtype=torch.float64, device="cpu") - (height - 1) / 2
    cols = torch.arange(width, dtype=torch.float64, device="cpu") - (width - 1) / 2
    targets = torch.stack(torch.meshgrid(rows, cols, indexing="ij"))  # (2, H, W)
    sources = torch.einsum("ij,jhw->ihw", matrix.cpu().double().T, targets)  # M⁻¹ = Mᵀ
    # grid_sample takes (x, y), where ±1 are the outer edges of the outermost pixels.
    span = torch.tensor([width, height], dtype=torch.float64, device="cpu") / 2
    # In half precision, a grid would point at pixels that are not there.
    dtype = torch.promote_types(signal.dtype, torch.float32)
    grid = (sources.flip(0).permute(1, 2, 0) / span).to(signal.device, dtype)
    flat = signal.to(dtype).reshape(1, -1, height, width)
    turned = F.grid_sample(flat, grid[None], align_corners=False)
    return turned.to(signal.dtype).reshape(signal.shape)
