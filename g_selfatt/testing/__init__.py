"""Measure and judge equivariance: of our layers, and of layers of your own."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor, nn

from g_selfatt.functional import inscribed_disc
from g_selfatt.groups import Group, get

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 5e-2, torch.bfloat16: 2e-1}
"""Largest relative error that rounding explains, by dtype of the input."""


class EquivarianceError(dict[int, float]):
    """Relative equivariance error by group element.

    Attributes:
        interpolated: the elements that do not map the pixel grid to itself. Their errors contain
            that of turning an image bilinearly, and are of the inscribed disc only.
    """

    def __init__(self, errors: dict[int, float], interpolated: tuple[int, ...]) -> None:
        super().__init__(errors)
        self.interpolated = interpolated

    @property
    def exact(self) -> dict[int, float]:
        """The errors of the elements that map the pixel grid to itself: the module's only."""
        return {h: error for h, error in self.items() if h not in self.interpolated}

    def __repr__(self) -> str:
        entries = (
            f"{h}: {error:.1e}{' (interpolated)' if h in self.interpolated else ''}"
            for h, error in self.items()
        )
        return f"{{{', '.join(entries)}}}"


@torch.no_grad()
def equivariance_error(module: nn.Module, group: Group | str, x: Tensor) -> EquivarianceError:
    """How far ``module(h·x)`` is from ``h·module(x)``, for every element h of the group.

    The error is max|module(h·x) − h·module(x)| / max|module(x)|. It is measured in eval mode, since
    dropout is different at every call; the mode of every submodule is restored.

    Args:
        module: module that maps ``(B, C, H, W)`` or ``(B, C, |H|, H, W)`` to a map of one of these
            kinds, or to ``(B, C)``, which must not change at all.
        group: the group, or its name.
        x: input, not symmetric itself.

    Returns:
        The error of every element, as a dict; its ``interpolated`` says which are not exact. NaN
        for those on maps too small to have a pixel that no rotation carries out.
    """
    group = get(group)
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        y = module(x)
        scale = y.abs().max().clamp_min(torch.finfo(y.dtype).tiny)
        errors, interpolated = {}, []
        for h in range(group.num_elements):
            difference = module(group.act_on_signal(x, h)) - _act_on_output(group, y, h)
            if h not in group.grid_elements:
                interpolated.append(h)
                if difference.dim() > 2:
                    difference = difference[..., inscribed_disc(difference)]
            # NaN where the disc has no pixel: a map of 2×2 says nothing about such an element.
            worst = difference.abs().max() if difference.numel() else difference.new_tensor(nan)
            errors[h] = (worst / scale).item()
    finally:
        for part in training:  # not train(), which would thaw a BatchNorm that was frozen
            part.training = True
    return EquivarianceError(errors, tuple(interpolated))


def assert_equivariant(
    module: nn.Module, group: Group | str, x: Tensor, *, tolerance: float | None = None
) -> None:
    """Raise unless the module is equivariant, judged on the elements where that is exact.

    Args:
        module, group, x: as in `equivariance_error`.
        tolerance: largest relative error; by dtype of x (`TOLERANCES`) where None.

    Raises:
        AssertionError: with the worst element and its error.
    """
    tolerance = TOLERANCES[x.dtype] if tolerance is None else tolerance
    errors = equivariance_error(module, group, x).exact
    worst = max(errors, key=lambda h: _nan_is_worst(errors[h]))
    if not errors[worst] <= tolerance:
        raise AssertionError(
            f"{type(module).__name__} is not equivariant to {get(group).name}: relative error "
            f"{errors[worst]:.2e} for element {worst}, more than {tolerance:.0e}"
        )


def _act_on_output(group: Group, y: Tensor, h: int) -> Tensor:
    return y if y.dim() == 2 else group.act_on_signal(y, h)


def _nan_is_worst(error: float) -> float:
    return float("inf") if error != error else error
