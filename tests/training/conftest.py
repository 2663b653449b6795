"""The small runs of small_runs.py as fixtures."""

from __future__ import annotations

import signal

import pytest
from PIL import Image
from small_runs import configuration, make_small

import training
from training import training_run
from training.errors import Interrupted


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
def interrupt(run):
    """Run a small configuration until a state is saved, and press Ctrl-C; gives the exception."""

    def interrupt(*overrides):
        save_state = training_run.save_state

        def save_and_be_interrupted(folder, state):
            save_state(folder, state)
            signal.raise_signal(signal.SIGINT)

        # Whoever starts the tests in the background has Ctrl-C ignored, and Python inherits that.
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted) as caught:
                patch.setattr(training_run, "save_state", save_and_be_interrupted)
                run(*overrides)
        finally:
            signal.signal(signal.SIGINT, inherited)
        return caught.value

    return interrupt


@pytest.fixture
def started(monkeypatch):
    """The numbers with which each training began."""
    started: list = []
    fit = training_run.Trainer.fit

    def watched(trainer, *arguments):
        started.append({k: v.clone() for k, v in trainer.model.state_dict().items()})
        fit(trainer, *arguments)

    monkeypatch.setattr(training_run.Trainer, "fit", watched)
    return started


@pytest.fixture
def make_folder(tmp_path):
    """Make a folder of grey images of some classes, by its name."""

    def make_folder(name, count=12, classes=("cell", "debris")):
        for label, kind in enumerate(classes):
            (tmp_path / name / kind).mkdir(parents=True)
            for index in range(count):
                image = Image.new("L", (20, 16), 200 * label // (len(classes) - 1))
                image.putpixel((5 + index % 10, 8), 100)
                image.save(tmp_path / name / kind / f"{index}.png")
        return tmp_path / name

    return make_folder
