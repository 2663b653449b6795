"""Real runs made small: few images of rotDigits, a network of a few hundred weights, no drawing.

And what such a run leaves.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from g_selfatt import datasets
from g_selfatt.models import read_metadata
from g_selfatt.models.group_transformer_presets import PRESETS
from training import command_line, confusion, curves, settings
from training.run_folder import METRICS, WEIGHTS, run_name

IMAGES = 24
TINY = {
    "num_channels": 8,
    "num_heads": 1,
    "block_sizes": (1,),
    "crop_per_layer": (3,),
    "norm_type": "LayerNorm",
    "position_init_scale": 0.0,
    "locality_init": 0.0,
}


def make_small(patch: pytest.MonkeyPatch, images: int = IMAGES) -> None:
    """From now on rotDigits has so few images a split, so small a network, and empty pictures."""
    patch.setitem(PRESETS, "rotDigits", PRESETS["rotDigits"] | TINY)
    load = datasets.load
    patch.setattr(datasets, "load", lambda *a, limit, **k: load(*a, limit=limit or images, **k))
    for picture in (curves, confusion):  # to draw them takes longer than all else of such a run
        patch.setattr(picture, "draw", lambda path, *_: path.touch())


def configuration(save_dir: Path, *overrides: str):
    """The checked configuration of a z2sa, 3 epochs of 3 steps a run."""
    small = ["model=z2sa", "patch_size=3", "batch_size=8", "epochs=3", "device=cpu"]
    small.append(f"save_dir={save_dir}")
    arguments = [f"--config.{override}" for override in (*small, *overrides)]
    config = settings.resolve(command_line.parse(arguments))
    settings.check(config)
    return config


def folder_of(config) -> Path:
    """Where the run of a configuration has its files."""
    return Path(config.save_dir, run_name(config))


def history(folder: Path) -> list[dict]:
    """metrics.jsonl without what a clock decides."""
    rows = map(json.loads, (folder / METRICS).read_text().splitlines())
    return [{key: row[key] for key in row if key != "seconds"} for row in rows]


def figures(folder: Path) -> tuple[str, list[dict]]:
    """The digest of the weights, and the history."""
    return read_metadata(folder / WEIGHTS)["sha256"], history(folder)
