"""Measure how equivariant a whole network is, layer by layer and at every angle.

    python -m demo.equivariance_report --model p4sa --out report/
    python -m demo.equivariance_report --weights saved/rotDigits-p4sa-local5-seed0-0a670760

Prints a table and writes report.json into the folder. The same weights are measured under several
group encodings: ours beside that of the released code, unless ``--group_encoding`` names others.

**Layers, at the elements of the group.** The error of a layer is that of the network from the image
to its output, max|N(h·x) − h·N(x)| / max|N(x)|, by `g_selfatt.testing.layer_errors`. Between the
elements a feature map turns in the plane, but its place on the group axis is not defined: no number
is given there. Mirrors are measured where the group has them.

**Logits, at every angle.** They have no axis to move along and should never change:
max|N(θ·x) − N(x)| / max|N(x)|.

Multiples of 90° and mirrors permute the pixels, so that their errors are only the network's:
``"exact": true`` in the JSON. Any other angle interpolates bilinearly, and its
error contains that of turning the image. Feature maps are then compared on the inscribed disc, and
not at all (null) where they have shrunk to 2×2 pixels, none of which lies on it. The image is
turned before it is normalized, so that the corners are black. A pooling that drops a
row and a column, as PCam's last one does, is not equivariant: from there on nothing is exact.

The exit code is 1 where an encoding that is equivariant is further than 1e-9 from being so at an
exact element.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demo.networks import Normalize, example_image, name_layers, random_network, trained_network
from g_selfatt import datasets, groups, models
from g_selfatt.datasets import DatasetInfo
from g_selfatt.functional import GROUP_ENCODINGS, preserves_grid, transform_plane
from g_selfatt.groups import SE2, Group
from g_selfatt.testing import TOLERANCES, EquivarianceError, layer_errors

COMMAND = "python -m demo.equivariance_report"
NOT_EQUIVARIANT = ("paper",)  # of the group encodings
TOLERANCE = TOLERANCES[torch.float64]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, with the networks; exits with 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("--model", help="p4sa, p4msa, p8sa, … (p4sa)")
    parser.add_argument("--dataset", help="whose architecture (rotDigits)")
    parser.add_argument("--seed", type=int, help="of random weights (0)")
    parser.add_argument("--pretrained", action="store_true", help="the weights in saved/")
    parser.add_argument("--weights", type=Path, help="a file of weights, or the folder of a run")
    parser.add_argument(
        "--group_encoding",
        nargs="+",
        choices=GROUP_ENCODINGS,
        default=["equivariant", "paper"],
        help="one or several (equivariant paper)",
    )
    parser.add_argument(
        "--angles", type=int, default=72, help="of the logits, over 360° (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default="report", help="a folder (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        _choose_networks(options)
        if options.angles < 1:
            raise ValueError(f"--angles: expected a number from 1 on, got {options.angles}")
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.json").open("a").close()  # before the work: it can be written
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return options


def _choose_networks(options: argparse.Namespace) -> None:
    """Set ``model``, ``info``, ``source`` of the weights, and the networks ``by_encoding``."""
    own = ("model", "dataset", "seed", "pretrained")
    given = [name for name in own if getattr(options, name) not in (None, False)]
    if options.weights is not None and given:
        raise ValueError(f"--weights bring their own network: leave out --{given[0]}")
    if options.pretrained and options.seed is not None:
        raise ValueError("--seed is of random weights: leave it out, or --pretrained")
    name, dataset = options.model or "p4sa", options.dataset or "rotDigits"
    if options.pretrained:
        options.weights = models.find_pretrained(name, dataset)[0].path
    if options.weights is not None:
        weights = models.Weights.read(options.weights)
        options.model, dataset = weights.model, weights.dataset
        options.source = f"weights of {weights.name}"
        load = partial(trained_network, options.weights)
    else:
        options.model = models.model_entry(name).name
        options.source = f"random weights, seed {options.seed or 0}"
        load = partial(random_network, options.model, dataset, options.seed or 0)
    options.info = datasets.INFO[datasets.canonical_name(dataset)]
    if options.weights is not None:  # of a folder of images only these know the rest
        known = weights.pretrained_config
        facts = ("image_size", "in_channels", "num_classes", "mean", "std")
        options.info = replace(options.info, **{fact: known[fact] for fact in facts})
    options.by_encoding = {encoding: load(encoding) for encoding in options.group_encoding}


def measure(
    by_encoding: dict[str, nn.Module], model: str, info: DatasetInfo, source: str, num_angles: int
) -> dict[str, Any]:
    """The report, ready for JSON.

    Args:
        by_encoding: the same weights under several encodings.
        model: its canonical name.
        info: of the data set.
        source: of the weights.
        num_angles: number of angles over 360° that the logits are measured at.

    Returns:
        The facts; ``elements`` of the group, ``layers`` and ``angles``, each saying what is exact;
        and ``errors`` by encoding: one for each layer and element (None where there is nothing to
        compare), and one of the logits for each angle.
    """
    group = groups.get(models.model_entry(model).group)
    pixels, image = example_image(info)
    errors, exact = {}, {}
    for encoding, network in by_encoding.items():
        layers = name_layers(network)
        network = nn.Sequential(Normalize(info), network)
        exact = even_layers(network, pixels, layers)
        of_layers = layer_errors(network, group, pixels, layers)
        errors[encoding] = {
            "layers": {name: _by_element(of) for name, of in of_layers.items()},
            "logits": logits_errors(network, pixels, num_angles),
        }
    rotations = SE2(num_angles)
    return {
        "model": model,
        "dataset": info.name,
        "group": group.name,
        "weights": source,
        "image": image,
        "dtype": str(pixels.dtype).removeprefix("torch."),
        "measure": "max|N(h·x) − h·N(x)| / max|N(x)|; exact: on all pixels, which are permuted; "
        "otherwise interpolated bilinearly, and maps are compared on the inscribed disc",
        "elements": _describe_elements(group),
        "layers": [{"name": name, "exact": exact[name]} for name in of_layers],
        "angles": [
            {"degrees": 360 * k / num_angles, "exact": preserves_grid(rotations.matrices[k])}
            for k in range(num_angles)
        ],
        "errors": errors,
    }


@torch.no_grad()
def even_layers(
    network: nn.Module, pixels: Tensor, layers: dict[str, nn.Module]
) -> dict[str, bool]:
    """Whether no pooling on the way to a layer drops a row and a column, by the name of the layer.

    A pooling of a map with an odd side does so, and is not equivariant, whatever the encoding.
    """
    uneven: list[nn.Module] = []
    exact = {}

    def look(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if isinstance(module, nn.MaxPool3d) and any(n % 2 for n in inputs[0].shape[-2:]):
            uneven.append(module)
        exact.update({name: not uneven for name, layer in layers.items() if layer is module})

    handles = [module.register_forward_hook(look) for module in network.modules()]
    network(pixels)
    for handle in handles:
        handle.remove()
    return exact


@torch.no_grad()
def logits_errors(network: nn.Module, pixels: Tensor, num_angles: int) -> list[float]:
    """max|N(θ·x) − N(x)| / max|N(x)| for the logits of a network in eval mode, at every angle.

    Args:
        network: maps ``(1, C, H, W)`` to logits ``(1, classes)``.
        pixels: x, ``(1, C, H, W)``.
        num_angles: number of angles θ = 360°·k/num_angles.
    """
    upright = network(pixels)
    turned = (transform_plane(pixels, matrix) for matrix in SE2(num_angles).matrices)
    return [((network(x) - upright).abs().max() / upright.abs().max()).item() for x in turned]


def _by_element(errors: EquivarianceError) -> list[float | None]:
    """None where a map is too small to have an inscribed disc."""
    no_disc = {h for h in errors.interpolated if math.isnan(errors[h])}
    return [None if h in no_disc else error for h, error in errors.items()]


def _describe_elements(group: Group) -> list[dict[str, Any]]:
    """The elements in the order of SE2 and E2: the rotations, then the same after a mirror."""
    rotations = group.num_rotations
    assert rotations is not None  # of every registered network
    return [
        {
            "element": h,
            "degrees": 360 * (h % rotations) / rotations,
            "mirror": h >= rotations,
            "exact": h in group.grid_elements,
        }
        for h in range(group.num_elements)
    ]


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


def table(report: dict[str, Any]) -> str:
    """The largest exact error of every layer, one column for each encoding."""
    mirrors = " and mirrors" if any(element["mirror"] for element in report["elements"]) else ""
    lines = [
        f"{report['model']} of {report['dataset']}, {report['weights']}, {report['dtype']}",
        f"largest relative error at multiples of 90°{mirrors}:",
        "".join(f"{title:<14}" for title in ("layer", *report["errors"])).rstrip(),
    ]
    for layer in report["layers"]:
        name = layer["name"]
        errors = [f"{worst_exact(report, encoding, name):<14.0e}" for encoding in report["errors"]]
        note = "" if layer["exact"] else "(after a pooling that drops a row and a column)"
        lines.append(f"{name:<14}{''.join(errors)}{note}".rstrip())
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    options = parse(arguments)
    report = measure(
        options.by_encoding, options.model, options.info, options.source, options.angles
    )
    text = json.dumps(report, indent=1, ensure_ascii=False)
    try:
        (options.out / "report.json").write_text(text + "\n")
    except OSError as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    print(table(report))
    print(f"wrote {options.out / 'report.json'}")
    failed = failures(report)
    for line in failed:
        print(f"{COMMAND}: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
