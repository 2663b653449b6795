"""A run that is killed, told to stop, started twice, or left without a disk."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import figures, folder_of

from g_selfatt import datasets
from g_selfatt.datasets import DataError
from training import confusion, curves, training_run
from training.errors import Interrupted, NonFiniteLoss, Terminated, UserError
from training.lock import LOCK
from training.run_folder import (
    CONFIG,
    CONFUSION,
    CURVES,
    METRICS,
    PREVIOUS_STATE,
    STATE,
    WEIGHTS,
    identity,
)

REPOSITORY = Path(__file__).parents[2]
DRAW = {picture: picture.draw for picture in (curves, confusion)}
DROPOUT = ("dropout_att=0.2", "augment=True", "scheduler=one_cycle")


@pytest.fixture
def at_step(monkeypatch):
    """Do something after the steps of these numbers, counted over all runs of the test."""
    step, actions, count = training_run.Trainer._step, {}, [0]

    def stepped(trainer, x, y):
        result = step(trainer, x, y)
        count[0] += 1
        actions.get(count[0], lambda: None)()
        return result

    monkeypatch.setattr(training_run.Trainer, "_step", stepped)
    return actions


def test_twenty_kills_change_nothing():
    command = [sys.executable, "-m", "tests.training.kills", "--kills=20"]
    command += ["--config.model=z2sa", "--config.patch_size=3", "--config.backend=reference"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": -9\n") == 20
    assert "the same to the bit: True" in done.stdout


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Terminated, 143)],
)
def test_a_signal_inside_an_epoch_saves_and_stops(
    configure, run, tmp_path, at_step, caplog, number, kind, code
):
    run(*DROPOUT, f"save_dir={tmp_path / 'whole'}")
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    at_step[9 + 5] = lambda: os.kill(os.getpid(), number)  # in the second epoch of the second run
    with pytest.raises(kind, match="goes on from step 3 of epoch 2 of 3") as caught:
        run(*DROPOUT)
    assert caught.value.exit_code == code
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, inherited)
    folder = folder_of(configure(*DROPOUT))
    assert {path.name for path in folder.iterdir()} == {STATE, PREVIOUS_STATE, CONFIG, METRICS}
    with caplog.at_level("INFO"):
        run(*DROPOUT)
    assert f"going on after step 2 of epoch 2 of the interrupted run in {folder}" in caplog.text
    assert figures(folder) == figures(tmp_path / "whole" / folder.name)


def test_a_signal_while_validating_saves_what_was_trained(configure, run, tmp_path, monkeypatch):
    run(save_dir := f"save_dir={tmp_path / 'whole'}")
    evaluate = training_run.Trainer.fit.__globals__["evaluate"]

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        return evaluate(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("training.trainer.evaluate", interrupted)
        with pytest.raises(Terminated, match="goes on from step 4 of epoch 1 of 3"):
            run()
    run()
    folder = folder_of(configure())
    assert figures(folder) == figures(Path(save_dir.partition("=")[2]) / folder.name)


def test_a_second_signal_does_not_wait_for_the_step(configure, run, at_step):
    at_step[5] = lambda: [signal.raise_signal(signal.SIGTERM) for _ in range(2)]
    with pytest.raises(Terminated, match="goes on from epoch 2 of 3"):  # nothing new was saved
        run()
    assert not (folder_of(configure()) / LOCK).exists()


def test_a_second_signal_while_a_state_is_written_leaves_nothing_of_it(
    configure, run, at_step, monkeypatch
):
    def first():
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGTERM))

    at_step[5] = first
    with pytest.raises(Terminated, match="goes on from epoch 2 of 3"):
        run()
    folder = folder_of(configure())
    assert {path.name for path in folder.iterdir()} == {STATE, CONFIG, METRICS}


def test_states_inside_an_epoch_come_by_the_clock(configure, run, at_step):
    found = []
    for number, seed in ((2, "seed=0"), (3 + 2, "seed=1")):
        state = folder_of(configure(seed, "epochs=1")) / STATE
        at_step[number] = lambda state=state: found.append(state.exists())
    run("seed=0", "epochs=1", "checkpoint_minutes=1e-9")
    run("seed=1", "epochs=1")
    assert found == [True, False]


def test_an_image_that_cannot_be_read_stops_the_run_with_its_state_saved(
    configure, run, monkeypatch, tmp_path
):
    run(f"save_dir={tmp_path / 'whole'}")
    iterate = datasets.Loader.__iter__

    def failing(loader):
        for number, batch in enumerate(iterate(loader)):
            if loader.shuffle and loader.epoch == 1 and number == 2:
                raise DataError("000002.png cannot be read")
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(datasets.Loader, "__iter__", failing)
        with pytest.raises(
            UserError, match="000002.png .* goes on from step 3 of epoch 2"
        ) as caught:
            run()
    assert caught.value.exit_code == 2
    run()
    folder = folder_of(configure())
    assert figures(folder) == figures(tmp_path / "whole" / folder.name)


def test_weights_that_are_not_finite_are_not_saved(configure, run, monkeypatch):
    step = training_run.Trainer._step

    def poisoned(trainer, x, y):
        result = step(trainer, x, y)
        if trainer.epoch == 1:
            next(trainer.model.parameters()).data.fill_(float("inf"))
        return result

    monkeypatch.setattr(training_run.Trainer, "_step", poisoned)
    with pytest.raises(NonFiniteLoss, match="a weight is not finite after step 1 of epoch 2"):
        run("checkpoint_minutes=1e-9")
    kept = training_run.load_state(folder_of(configure()), identity(configure()))["trainer"]
    assert len(kept["history"]) == 1
    assert all(torch.isfinite(weight).all() for weight in kept["model"].values())


def test_a_run_killed_after_its_weights_is_finished(configure, run, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(
            training_run, "close_states", lambda *_, **__: (_ for _ in ()).throw(SystemError)
        )
        with pytest.raises(SystemError):
            run("epochs=1")
    folder = folder_of(configure("epochs=1"))
    assert (folder / STATE).exists() and (folder / WEIGHTS).exists()
    before = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(UserError, match="sha256.*; or delete the file, to go on from the state"):
        run("epochs=1")
    assert (folder / STATE).exists()
    (folder / WEIGHTS).write_bytes(before)
    monkeypatch.setattr(training_run.Trainer, "_step", lambda *_: pytest.fail("it trained again"))
    run("epochs=1")
    assert "finished already: test accuracy" in capsys.readouterr().out
    assert (folder / WEIGHTS).read_bytes() == before
    assert not (folder / STATE).exists()


def test_a_full_disk_is_one_line_and_the_last_state_is_kept(
    configure, run, at_step, tmp_path, capsys
):  # capsys: what is printed goes to no file, whose size would be limited too
    run(f"save_dir={tmp_path / 'whole'}")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # no file may grow beyond this: the state of the second epoch cannot be written
    at_step[9 + 5] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
    try:
        with pytest.raises(UserError, match=rf"{STATE}: File too large") as caught:
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    folder = folder_of(configure())
    assert {path.name for path in folder.iterdir()} == {STATE, CONFIG, METRICS}
    run()
    assert figures(folder) == figures(tmp_path / "whole" / folder.name)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("x" * 300, "File name too long"),
        ("file/run", "path: cannot make .*Not a directory"),
        ("file", "path: cannot make .*File exists"),
        ("taken", "Is a directory"),
        ("theirs", "config.json was not written by a run"),
        ("binary", "config.json was not written by a run"),
    ],
)
def test_a_folder_that_will_not_do_is_one_line(run, tmp_path, place, line):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / STATE).mkdir(parents=True)
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / CONFIG).write_bytes(b"\xff\xfe")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / CONFIG).write_text("[1]")
    with pytest.raises(UserError, match=line) as caught:
        run(f"path={tmp_path / place}", "epochs=1")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "theirs" / CONFIG).read_text() == "[1]"


def test_the_current_folder_can_be_the_run_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("path=.", "epochs=1")
    assert (tmp_path / WEIGHTS).exists()


@pytest.mark.parametrize("name", ["$x^^y$", os.fsdecode(b"\xff\xfe")], ids=["formula", "bytes"])
def test_any_name_of_a_folder_is_trained_to_the_end(
    run, tmp_path, name, capsys, request, monkeypatch
):
    for picture, draw in DRAW.items():
        monkeypatch.setattr(picture, "draw", draw)
    # pytest-xdist cannot send such characters: they are not logged, and what is printed is read.
    logging.disable(logging.CRITICAL)
    request.addfinalizer(lambda: logging.disable(logging.NOTSET))
    run(f"path={tmp_path / name}", "epochs=1")
    capsys.readouterr()
    folder = tmp_path / name
    assert {path.name for path in folder.iterdir()} == {
        *(WEIGHTS, METRICS, CONFIG, CURVES, CONFUSION)
    }


def test_a_picture_that_cannot_be_drawn_does_not_prevent_the_weights(
    configure, run, monkeypatch, caplog
):
    for picture in (curves, confusion):
        fail = lambda *_: (_ for _ in ()).throw(ValueError("no font"))  # noqa: E731
        monkeypatch.setattr(picture, "draw", fail)
    run("epochs=1")
    folder = folder_of(configure("epochs=1"))
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, METRICS, CONFIG}
    for picture in (CURVES, CONFUSION):
        assert f"{picture} could not be drawn: no font" in caplog.text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.update(history=state["history"] * 9),
        lambda state: state["model"].popitem(),
        lambda state: state.pop("optimizer"),
        lambda state: state.update(progress=[]),
    ],
    ids=["history", "parameter", "optimizer", "progress"],
)
def test_a_state_that_does_not_fit_is_one_line(configure, run, at_step, spoil):
    at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Terminated):
        run()
    folder = folder_of(configure())
    state = training_run.load_state(folder, identity(configure()))
    spoil(state["trainer"])
    training_run.save_state(folder, state)
    with pytest.raises(UserError, match="does not fit this version of the program") as caught:
        run()
    assert "\n" not in str(caught.value)
