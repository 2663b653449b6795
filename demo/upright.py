"""Networks that were trained on upright digits only, tested on digits turned through 360°.

    python -m demo.upright
    python -m demo.upright --seeds 0

Trains p4convnet, p4sa and z2convnet of runs/upright_digits_*.py with every seed where saved/ has no
such weights, minutes on two cores; writes how many of the 300 test images are right at every angle
to results/upright.json, and draws docs/pictures/upright.png from it. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import training
from demo.figures import upright
from demo.networks import Normalize
from demo.style import PICTURES
from g_selfatt import datasets, models
from g_selfatt.datasets.upright_digits import turned_test
from runs import sweep
from training.errors import ExpectedStop
from training.run_folder import write_atomic

STEP = 5  # degrees between two angles


def turned_images() -> tuple[Tensor, Tensor]:
    """The test images at every angle, ``(angles, N, 1, H, W)`` in [0, 1], and their labels."""
    splits = [turned_test(angle) for angle in range(0, 360, STEP)]
    return torch.stack([split.images for split in splits]).float() / 255, splits[0].labels


@torch.no_grad()
def count_right(network: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    """How many images are right at every angle.

    Args:
        network: from normalized images to logits.
        images: ``(angles, N, 1, H, W)`` in [0, 1].
        labels: ``(N,)``.
    """
    normalize, network = Normalize(datasets.INFO["uprightDigits"]), network.eval()
    return [int((network(normalize(x).float()).argmax(1) == labels).sum()) for x in images]


def trained(recipe: str, seed: int) -> models.Weights:
    """The weights of a run, trained first where there are none.

    Raises:
        ExpectedStop: training ended early; the message is one line.
    """
    config = sweep.configuration(recipe, seed)
    found = sweep.weights_of(config)
    if found is None:
        training.run(config)
        found = sweep.weights_of(config)
        assert found is not None
    return found


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.upright",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(0 1 2)")
    parser.add_argument("--figures", type=Path, default=upright.FIGURES, help="a JSON file")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder of the picture")
    options = parser.parse_args(arguments)
    right: dict[str, list[list[int]]] = {}
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        images, labels = turned_images()
        for name in upright.NETWORKS:
            for seed in options.seeds:
                network = models.load_model(trained(f"upright_digits_{name}", seed))
                counts = count_right(network, images, labels)
                right.setdefault(name, []).append(counts)
                upright_share, mean = counts[0] / len(labels), sum(counts) / labels.numel()
                print(f"{name}, seed {seed}: upright {upright_share:.1%}", end=", ")
                print(f"mean over all angles {mean / len(images):.1%}", flush=True)
        figures = {"step": STEP, "images": len(labels), "seeds": options.seeds, "right": right}
        write_atomic(options.figures, json.dumps(figures) + "\n")
        print(f"drew {upright.draw(options.out, options.figures)}")
    except ExpectedStop as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
