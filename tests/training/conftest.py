"""The small runs of small_runs.py as fixtures."""

from __future__ import annotations

import pytest
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
