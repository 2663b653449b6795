"""wandb as it really is, offline; and not even imported where nobody asked for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from training.run_folder import run_name
from training.tracking import Tracker


def test_disabled_does_not_import_wandb(configure, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would raise
    with Tracker(configure(), tmp_path, None) as tracker:
        tracker.log({"train_loss": 1.0}, 1)
        tracker.summarise({"test_loss": 1.0})
    assert tracker.run_id is None


def test_offline_writes_the_figures_of_every_epoch_into_the_run_folder(configure, run, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    monkeypatch.setenv("WANDB_PROJECT", "from the environment")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overrides = ("epochs=2", "wandb=offline", "wandb_entity=a_team")
    results = run(*overrides)
    config = configure(*overrides)
    [log] = Path(config.save_dir, run_name(config)).glob("wandb/offline-run-*/run-*.wandb")

    store = DataStore()
    store.open_for_scan(str(log))
    values, begun = {}, None
    while data := store.scan_data():
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "run":
            begun = record.run
        for item in (*record.history.item, *record.summary.update):
            values.setdefault(item.key or item.nested_key[0], []).append(item.value_json)
    assert (begun.project, begun.entity) == ("from the environment", "a_team")
    assert begun.display_name == run_name(config)
    assert {"1", "2"} <= set(values["epoch"])
    assert repr(results["test_loss"]) in values["test_loss"]


def test_a_run_that_goes_on_keeps_its_id(configure, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = configure("wandb=offline")
    with Tracker(config, tmp_path, None) as first:
        pass
    with Tracker(config, tmp_path, first.run_id) as second:
        pass
    assert first.run_id
    assert second.run_id == first.run_id
