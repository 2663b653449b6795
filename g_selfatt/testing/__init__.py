"""Measure and judge equivariance: of layers, and of networks layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, nan

import torch
from torch import Tensor, nn

from g_selfatt.functional import inscribed_disc
from g_selfatt.groups import Group, get
from g_selfatt.nn.modes import evaluating

__all__ = [
    "TOLERANCES",
    "EquivarianceError",
    "UpTo",
    "assert_equivariant",
    "equivariance_error",
    "layer_errors",
]

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


def equivariance_error(module: nn.Module, group: Group | str, x: Tensor) -> EquivarianceError:
    """How far ``module(h·x)`` is from ``h·module(x)``, for every element h of the group.

    The error is max|module(h·x) − h·module(x)| / max|module(x)|. It is measured in eval mode, since
    dropout is different at every call; the mode of every submodule is restored.

    Args:
        module: maps ``(B, C, H, W)`` or ``(B, C, |H|, H, W)`` to a map of one of these kinds, or to
            ``(B, C)``, which must not change at all.
        group: a `Group` or its name.
        x: an input, not symmetric itself.

    Returns:
        The error of every element, as a dict; its ``interpolated`` says which are not exact. NaN
        where nothing can be judged: on maps too small to have a pixel that no rotation carries out,
        and where the output is zero.
    """
    return layer_errors(module, group, x, {"": module})[""]


@torch.no_grad()
def layer_errors(
    network: nn.Module, group: Group | str, x: Tensor, layers: Mapping[str, nn.Module]
) -> dict[str, EquivarianceError]:
    """`equivariance_error` of a network from its input to the output of each of some layers.

    Args:
        network: takes ``x``, in any mode.
        group: a `Group` or its name.
        x: an input, not symmetric itself.
        layers: submodules of the network, or the network, by names of your choice. Each returns a
            map on the plane or on the group, or ``(B, C)``.

    Returns:
        The errors by name, in the order in which the network computes the layers.

    Raises:
        ValueError: the network does not compute a layer.
    """
    group = get(group)
    with evaluating(network):
        outputs = _run(network, x, layers)
        errors: dict[str, dict[int, float]] = {name: {} for name in outputs}
        for h in range(group.num_elements):
            of_acted = _run(network, group.act_on_signal(x, h), layers)
            for name, y in outputs.items():
                expected = _act_on_output(group, y, h)
                if of_acted[name].shape != expected.shape:  # which broadcasting would hide
                    errors[name][h] = inf
                    continue
                difference = of_acted[name] - expected
                if h not in group.grid_elements and difference.dim() > 2:
                    difference = difference[..., inscribed_disc(difference)]
                # NaN where the disc has no pixel, or the output is zero: that says nothing.
                worst = difference.abs().max() if difference.numel() else difference.new_tensor(nan)
                errors[name][h] = (worst / y.abs().max()).item() if y.any() else nan
    interpolated = tuple(h for h in range(group.num_elements) if h not in group.grid_elements)
    return {name: EquivarianceError(of, interpolated) for name, of in errors.items()}


class UpTo(nn.Module):
    """A network up to one of its layers, whose output it returns.

    Args:
        network: the network.
        layer: one of its submodules.
    """

    def __init__(self, network: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, x: Tensor) -> Tensor:
        """The output of the layer for the input ``x`` of the network."""
        return _run(self.network, x, {"": self.layer})[""]


def assert_equivariant(
    module: nn.Module, group: Group | str, x: Tensor, *, tolerance: float | None = None
) -> None:
    """Raise unless the module is equivariant, judged on the elements where that is exact.

    Args:
        module, group, x: as in `equivariance_error`.
        tolerance: largest relative error; by dtype of x (`TOLERANCES`) where None.

    Raises:
        AssertionError: with the worst element and its error.
        ValueError: there is no element to judge but the identity, as for p3; the output is zero, or
            no tensor; or the dtype of x has no tolerance.
    """
    group = get(group)
    if len(group.grid_elements) == 1 < group.num_elements:
        raise ValueError(
            f"no element of {group.name} but the identity maps the pixel grid to itself: "
            "nothing can be judged; equivariance_error measures the others"
        )
    if tolerance is None and x.dtype not in TOLERANCES:
        known = ", ".join(map(str, TOLERANCES))
        raise ValueError(f"x is {x.dtype}, expected one of {known}, or a tolerance of your own")
    tolerance = TOLERANCES[x.dtype] if tolerance is None else tolerance
    errors = equivariance_error(module, group, x).exact
    with torch.no_grad(), evaluating(module):
        if not _run(module, x, {"": module})[""].any():
            raise ValueError(f"{type(module).__name__} returns zeros: nothing can be judged")
    worst = max(errors, key=lambda h: _nan_is_worst(errors[h]))
    if not errors[worst] <= tolerance:
        raise AssertionError(
            f"{type(module).__name__} is not equivariant to {group.name}: relative error "
            f"{errors[worst]:.2e} for element {worst}, more than {tolerance:.0e}"
        )


def _run(network: nn.Module, x: Tensor, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """What the layers return while the network runs, in the order in which it computes them."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        # A copy, and of the input too: what comes next may write to its input.
        def of_layer(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            if not isinstance(output, Tensor):
                got = f"{type(module).__name__} returns a {type(output).__name__}"
                raise ValueError(f"{got}, expected a tensor")
            outputs[name] = output.clone()

        return of_layer

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        network(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    if missing := [name for name in layers if name not in outputs]:
        raise ValueError(f"{type(network).__name__} does not compute {', '.join(missing)}")
    return outputs


def _act_on_output(group: Group, y: Tensor, h: int) -> Tensor:
    return y if y.dim() == 2 else group.act_on_signal(y, h)


def _nan_is_worst(error: float) -> float:
    return float("inf") if error != error else error
