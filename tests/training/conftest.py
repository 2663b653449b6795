"""The small runs of small_runs.py as fixtures."""

from __future__ import annotations

import pytest
from PIL import Image
from small_runs import configuration, make_small

import training


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """From overrides to a checked configuration of the small z2sa, 3 epochs of 3 steps a run."""
    make_small(monkeypatch)
    return lambda *overrides: configuration(tmp_path / "saved", *overrides)


@pytest.fixture
def run(configure):
    """Run a small configuration given by its overrides; gives the figures."""
    return lambda *overrides: training.run(configure(*overrides))


@pytest.fixture
def make_folder(tmp_path):
    """Make a folder of grey images of two classes, by its name."""

    def make_folder(name, count=12):
        for label, kind in enumerate(("cell", "debris")):
            (tmp_path / name / kind).mkdir(parents=True)
            for index in range(count):
                image = Image.new("L", (20, 16), 200 * label)
                image.putpixel((5 + index % 10, 8), 100)
                image.save(tmp_path / name / kind / f"{index}.png")
        return tmp_path / name

    return make_folder
