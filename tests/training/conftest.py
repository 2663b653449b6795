"""Real runs made small: few images of rotDigits, and a network of a few hundred weights."""

from __future__ import annotations

import pytest

import datasets
import training
from models.group_transformer import PRESETS
from training import command_line, settings

IMAGES = 24
TINY = {"num_channels": 8, "num_heads": 1, "block_sizes": (1,), "crop_per_layer": (3,)}


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """From overrides to a checked configuration of the small z2sa, 3 epochs of 3 steps a run."""
    monkeypatch.setitem(PRESETS, "rotDigits", PRESETS["rotDigits"] | TINY)
    load = datasets.load
    monkeypatch.setattr(
        datasets, "load", lambda *a, limit, **k: load(*a, limit=limit or IMAGES, **k)
    )

    def configure(*overrides: str):
        small = ["model=z2sa", "patch_size=3", "batch_size=8", "epochs=3", "device=cpu"]
        small.append(f"save_dir={tmp_path / 'saved'}")
        arguments = [f"--config.{override}" for override in (*small, *overrides)]
        config = settings.resolve(command_line.parse(arguments))
        settings.check(config)
        return config

    return configure


@pytest.fixture
def run(configure):
    """Run a small configuration given by its overrides; gives the figures."""
    return lambda *overrides: training.run(configure(*overrides))
