"""wandb as it really is, offline; and not even imported where nobody asked for it."""

from __future__ import annotations

import json
import sys

import pytest
from small_runs import folder_of

from training.run_folder import METRICS
from training.tracking import Tracker

BLOCK, HEADER = 2**15, 7


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")


def records(log: bytes) -> bytes:
    """What wandb has logged: LevelDB's format, blocks of records behind a header each."""
    content, position = b"", HEADER
    while position + HEADER <= len(log):
        if BLOCK - position % BLOCK < HEADER:  # no room for a header: the block ends in padding
            position += BLOCK - position % BLOCK
            continue
        length = int.from_bytes(log[position + 4 : position + 6], "little")
        content += log[position + HEADER : position + HEADER + length]
        position += HEADER + length
    return content


def test_disabled_does_not_import_wandb(configure, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would raise
    with Tracker(configure(), tmp_path, None) as tracker:
        tracker.log({"train_loss": 1.0}, 1)
        tracker.summarize({"test_loss": 1.0})
    assert tracker.run_id is None


def test_offline_writes_the_figures_of_every_epoch_into_the_run_folder(configure, run, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "from-the-environment")
    overrides = ("epochs=2", "wandb=offline", "wandb_entity=a-team")
    results = run(*overrides)
    folder = folder_of(configure(*overrides))
    [log] = folder.glob("wandb/offline-run-*/run-*.wandb")
    written = records(log.read_bytes())
    assert b"from-the-environment" in written
    assert b"a-team" in written
    assert folder.name.encode() in written
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    for value in (rows[0]["train_loss"], rows[1]["validation_loss"], results["test_loss"]):
        assert json.dumps(value).encode() in written


def test_a_run_that_goes_on_keeps_its_id(configure, tmp_path):
    config = configure("wandb=offline")
    with Tracker(config, tmp_path, None) as first:
        pass
    with Tracker(config, tmp_path, first.run_id) as second:
        pass
    assert first.run_id
    assert second.run_id == first.run_id


def test_tensorboard_has_the_figures_of_every_epoch(configure, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    overrides = ("epochs=2", "tensorboard=True")
    results = run(*overrides)
    folder = folder_of(configure(*overrides))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    losses = events.Scalars("train_loss")
    assert [event.step for event in losses] == [1, 2]
    assert [e.value for e in losses] == pytest.approx([row["train_loss"] for row in rows[:2]])
    [test] = events.Scalars("test_accuracy")
    assert test.value == pytest.approx(results["test_accuracy"])
