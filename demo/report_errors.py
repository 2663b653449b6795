"""The equivariance error of every layer of a network, and of its logits at every angle.

What is measured, and why so, is told by `demo.equivariance_report`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import datasets
import models
from demo.report_networks import Networks, Normalise, example_image
from g_selfatt.functional import preserves_grid, transform_plane
from g_selfatt.groups import SE2, Group
from g_selfatt.testing import TOLERANCES, equivariance_error

NOT_EQUIVARIANT = ("paper",)  # of the group encodings
TOLERANCE = TOLERANCES[torch.float64]


class Layer(NamedTuple):
    """A network from its image to one of its layers.

    Attributes:
        name: e.g. ``"block 2"``.
        network: maps pixels ``(1, C, H, W)`` to a map on the group or to logits.
        exact: whether no pooling on the way drops a row and a column, as that of a map with an odd
            side does: such a pooling is not equivariant, whatever the encoding.
    """

    name: str
    network: nn.Module
    exact: bool


def layers(model: models.GroupTransformer, info: datasets.DatasetInfo) -> Iterator[Layer]:
    """The lifting, the attention and the end of every block, and the logits, in their order."""
    passed = [Normalise(info), model.lifting_self_attention]
    yield Layer("lifting", nn.Sequential(*passed), True)
    passed += [model.lifting_normalization, model.lifting_activation]
    size, exact, block = info.image_size, True, 0
    for module in model.transformer:
        if isinstance(module, nn.MaxPool3d):
            exact = exact and size % 2 == 0
            size //= 2
        elif hasattr(module, "attention"):
            block += 1
            norm, activation, attention = module.attention[:3]
            yield Layer(
                f"attention {block}", nn.Sequential(*passed, norm, activation, attention), exact
            )
            yield Layer(f"block {block}", nn.Sequential(*passed, module), exact)
            size -= 2 * module.crop.crop_size
        passed.append(module)
    yield Layer("logits", nn.Sequential(Normalise(info), model), exact)


def measure(networks: Networks, num_angles: int) -> dict[str, Any]:
    """The report, ready for JSON.

    Args:
        networks: the same weights under several encodings.
        num_angles: how many angles over 360° the logits are measured at.

    Returns:
        The facts of the network and the image; ``elements`` of the group, ``layers`` and
        ``angles``, each saying what is exact; and ``errors`` by encoding: one for each layer and
        element (None where there is nothing to compare), and one of the logits for each angle.
    """
    info = datasets.INFO[networks.dataset]
    pixels, image = example_image(info)
    errors, of_layers = {}, []
    for encoding, model in networks.by_encoding.items():
        of_layers = list(layers(model, info))
        errors[encoding] = {
            "layers": {
                layer.name: layer_errors(layer.network, model.group, pixels) for layer in of_layers
            },
            "logits": logits_errors(of_layers[-1].network, pixels, num_angles),
        }
    rotations = SE2(num_angles)
    return {
        "model": networks.model,
        "dataset": networks.dataset,
        "group": model.group.name,
        "weights": networks.weights,
        "image": image,
        "dtype": str(pixels.dtype).removeprefix("torch."),
        "measure": "max|N(h·x) − h·N(x)| / max|N(x)|; exact: on all pixels, which are permuted; "
        "otherwise interpolated bilinearly, and maps are compared on the inscribed disc",
        "elements": _describe_elements(model.group),
        "layers": [{"name": layer.name, "exact": layer.exact} for layer in of_layers],
        "angles": [
            {"degrees": 360 * k / num_angles, "exact": preserves_grid(rotations.matrices[k])}
            for k in range(num_angles)
        ],
        "errors": errors,
    }


@torch.no_grad()
def layer_errors(network: nn.Module, group: Group, pixels: Tensor) -> list[float | None]:
    """`equivariance_error` by element; None where a map is too small to have an inscribed disc."""
    errors = equivariance_error(network, group, pixels)
    no_disc = {h for h in errors.interpolated if math.isnan(errors[h])}
    return [None if h in no_disc else error for h, error in errors.items()]


@torch.no_grad()
def logits_errors(network: nn.Module, pixels: Tensor, num_angles: int) -> list[float]:
    """How much the logits change when the image is turned by 360°·k/num_angles, for every k.

    Args:
        network: maps ``(1, C, H, W)`` to logits ``(1, classes)``, in eval mode.
        pixels: ``(1, C, H, W)``.
        num_angles: how many angles.

    Returns:
        max|N(θ·x) − N(x)| / max|N(x)|, one for each angle.
    """
    upright = network(pixels)
    turned = (transform_plane(pixels, matrix) for matrix in SE2(num_angles).matrices)
    return [((network(x) - upright).abs().max() / upright.abs().max()).item() for x in turned]


def worst_exact(report: dict[str, Any], encoding: str, layer: str) -> float:
    """The largest error of a layer over the elements that map the pixel grid to itself."""
    errors = report["errors"][encoding]["layers"][layer]
    exact = [e for e, element in zip(errors, report["elements"], strict=True) if element["exact"]]
    return max(exact, key=lambda error: math.inf if math.isnan(error) else error)


def failures(report: dict[str, Any]) -> list[str]:
    """A line for every encoding that should be equivariant and is not, naming the first layer."""
    lines = []
    for encoding in report["errors"]:
        worst = {
            layer["name"]: worst_exact(report, encoding, layer["name"])
            for layer in report["layers"]
            if layer["exact"]
        }
        bad = [name for name, error in worst.items() if not error <= TOLERANCE]
        if bad and encoding not in NOT_EQUIVARIANT:
            lines.append(
                f"group_encoding {encoding} is not equivariant: relative error "
                f"{worst[bad[0]]:.1e} at {bad[0]}, more than {TOLERANCE:.0e}"
            )
    return lines


def _describe_elements(group: Group) -> list[dict[str, Any]]:
    """The elements in the order of SE2 and E2: the rotations, then the same after a mirror."""
    rotations = group.num_rotations
    return [
        {
            "element": h,
            "degrees": 360 * (h % rotations) / rotations,
            "mirror": h >= rotations,
            "exact": h in group.grid_elements,
        }
        for h in range(group.num_elements)
    ]
