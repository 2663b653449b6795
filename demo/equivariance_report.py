"""Measure how equivariant a whole network is, layer by layer, and draw it.

    python -m demo.equivariance_report --model p4sa --out report/
    python -m demo.equivariance_report --weights saved/rotDigits-p4sa-local5-seed0-583fbb9a

Writes report.json and report.png into the folder. The same weights are measured under several group
encodings: ours beside that of the released code, unless ``--group_encoding`` names others.

**Layers, at the elements of the group.** The error of a layer is that of the network from the image
to there, max|N(h·x) − h·N(x)| / max|N(x)|, by `g_selfatt.testing.equivariance_error`. Between the
elements a feature map turns in the plane, but nothing says how it should move along the group axis:
no number is given there. Mirrors are measured where the group has them.

**Logits, at every angle.** They have no axis to move along and should never change:
max|N(θ·x) − N(x)| / max|N(x)|.

Multiples of 90° and mirrors permute the pixels, so that their errors are the network's alone:
filled markers, ``"exact": true`` in the JSON. Any other angle interpolates bilinearly, and its
error contains that of turning the image. Feature maps are then compared on the inscribed disc, and
not at all (null) where they have shrunk to 2×2 pixels, none of which lies on it. The image is
turned before it is normalised, so that what enters at the corners is black. A pooling that drops a
row and a column, as PCam's last one does, is not equivariant: from there on nothing is exact.

The exit code is 1 where an encoding that is equivariant is further than 1e-9 from being so at an
exact element.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
from benchmarks.command_line import Parser, new_folder, positive
from demo import report_picture
from demo.report_errors import failures, measure, worst_exact
from demo.report_networks import Networks, random_networks, trained_networks
from g_selfatt.functional import GROUP_ENCODINGS

COMMAND = "python -m demo.equivariance_report"


def parse(arguments: Sequence[str]) -> Namespace:
    """The options of a command line, with their ``networks``. Exits with 2 for a mistake."""
    parser = Parser(COMMAND, __doc__.splitlines()[0])
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
        "--angles", type=positive, default=72, help="of the logits, over 360° (%(default)s)"
    )
    parser.add_argument("--out", default="report", help="a folder (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        options.networks = _load_networks(options)
        options.out = new_folder(options.out)
    except (ValueError, FileNotFoundError, ArgumentTypeError) as error:
        parser.error(str(error))
    return options


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
    report = measure(options.networks, options.angles)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (options.out / "report.json").write_text(text + "\n")
    report_picture.draw(report).savefig(options.out / "report.png")
    print(table(report))
    print(f"wrote {options.out / 'report.json'} and {options.out / 'report.png'}")
    failed = failures(report)
    for line in failed:
        print(f"{COMMAND}: {line}", file=sys.stderr)
    return 1 if failed else 0


def _load_networks(options: Namespace) -> Networks:
    encodings = list(dict.fromkeys(options.group_encoding))
    own = {
        "--model": options.model is not None,
        "--dataset": options.dataset is not None,
        "--seed": options.seed is not None,
        "--pretrained": options.pretrained,
    }
    if options.weights is not None:
        if any(own.values()):
            extra = next(option for option, given in own.items() if given)
            raise ValueError(f"--weights bring their own network: leave out {extra}")
        return trained_networks(options.weights, encodings)
    name, dataset = options.model or "p4sa", options.dataset or "rotDigits"
    if not options.pretrained:
        return random_networks(name, dataset, options.seed or 0, encodings)
    if options.seed is not None:
        raise ValueError("--seed is of random weights: leave it out, or --pretrained")
    return trained_networks(models.find_pretrained(name, dataset)[0].path, encodings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
