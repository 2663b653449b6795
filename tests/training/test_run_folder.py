"""Names, identity and folders of runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from training import command_line, settings
from training.errors import ConfigError
from training.run_folder import (
    CONFIG,
    STATE,
    WEIGHTS,
    claim,
    claimed,
    identity,
    run_name,
    write_atomic,
)


def config(*overrides):
    arguments = [f"--config.{override}" for override in overrides]
    return settings.resolve(command_line.parse(arguments))


@pytest.mark.parametrize(
    ("overrides", "start"),
    [
        ([], "rotDigits-p4sa-local5-seed0-"),
        (["attention_type=global", "seed=3"], "rotDigits-p4sa-global-seed3-"),
        (["dataset=MNIST", "model=z2cnn"], "MNIST-z2cnn-seed0-"),
        (["comment=a b/../c"], "rotDigits-p4sa-local5-seed0-a_b_.._c-"),
    ],
)
def test_a_name_tells_the_run_and_ends_in_a_hash(overrides, start):
    name = run_name(config(*overrides))
    assert name.startswith(start)
    assert len(name) == len(start) + 8
    assert Path(name).name == name  # a folder, not a path


@pytest.mark.parametrize(
    "override",
    ["lr=0.1", "epochs=9", "augment=True", "amp=bf16", "comment=x", "eval_protocol=paper"],
)
def test_what_changes_the_numbers_changes_the_name(override):
    assert run_name(config(override)) != run_name(config())


@pytest.mark.parametrize(
    "override",
    ["device=cuda", "save_dir=x", "data_dir=x", "path=x", "pretrained=True", "smoke=True"]
    + ["wandb=offline", "wandb_entity=x", "num_workers=0", "backend=reference", "compile=True"],
)
def test_what_does_not_change_the_numbers_does_not_change_the_name(override):
    assert run_name(config(override)) == run_name(config())


def test_the_identity_is_the_same_from_a_config_and_from_its_json():
    given = config("scheduler=multistep", "sched_decay_steps=(3,5)")
    assert identity(json.loads(json.dumps(given.to_dict()))) == identity(given)


def test_a_key_that_is_younger_than_a_run_had_its_default_then():
    old = config().to_dict()
    del old["group_encoding"]
    assert identity(old) == identity(config())
    assert identity(old) != identity(config("group_encoding=paper"))


def test_a_finished_run_is_never_claimed_again(tmp_path):
    given = config(f"save_dir={tmp_path}")
    first = claim(given)
    assert first == tmp_path / run_name(given)
    assert not first.exists()  # claiming makes nothing
    for number in (2, 3):
        folder = claim(given)
        folder.mkdir()
        assert claim(given) == folder  # unfinished: it goes on there
        (folder / WEIGHTS).touch()
        assert claim(given) == tmp_path / f"{run_name(given)}-{number}"
    assert claim(given, "-finetuned") == tmp_path / f"{run_name(given)}-finetuned"


def test_a_path_replaces_the_name_and_protects_what_it_holds(tmp_path):
    given = config(f"path={tmp_path / 'mine'}")
    assert claim(given) == tmp_path / "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / STATE).touch()
    (tmp_path / "mine" / CONFIG).write_text(json.dumps(config("lr=0.5").to_dict()))
    with pytest.raises(ConfigError, match=r"another configuration \(lr is 0.5 there and 0.004 her"):
        claim(given)


@pytest.mark.parametrize("name", ["metrics.jsonl", "final.pt"])
def test_a_path_with_files_of_a_stranger_s_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=f"path: .* has a {name}, but no config.json of a run"):
        claim(config(f"path={tmp_path}"))


def test_only_halves_of_a_run_s_own_files_are_removed(tmp_path):
    (tmp_path / ".film.mp4.part").touch()
    (tmp_path / f".{STATE}.123.part").touch()
    with claimed(config(f"path={tmp_path}")) as folder:
        left = {file.name for file in folder.glob(".*")}
    assert left == {".film.mp4.part"}


def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
