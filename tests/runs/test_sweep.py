"""A sweep trains what is missing, keeps its figures, and leaves out what is there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

import training
from g_selfatt import models
from runs import results, sweep

RECIPE = """
from config import get_config as defaults

def get_config():
    config = defaults()
    config.model = "z2sa"
    config.patch_size = 3
    config.epochs = 1
    config.batch_size = 64
    config.save_dir = {folder!r}
    return config
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A recipe of one short epoch, in a repository of its own."""
    recipe = tmp_path / "runs" / "small.py"
    recipe.parent.mkdir()
    recipe.write_text(RECIPE.format(folder=str(tmp_path / "saved")))
    monkeypatch.setattr(results, "REPOSITORY", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    return tmp_path


def figures_of(folder, seed):
    return json.loads((folder / "results" / "small" / f"seed{seed}.json").read_text())


def test_a_run_is_trained_then_evaluated_then_left_out_unless_asked_for_again(small, capsys):
    folder = small / "results"
    assert sweep.run("small", 3, False, folder)[0] == 0
    trained = figures_of(small, 3)
    [weights] = (small / "saved").glob("*/weights.safetensors")
    recorded = json.loads(models.read_metadata(weights)["results"])
    assert {key: trained[key] for key in ("test_correct", "test_images", "epochs")} == {
        key: recorded[key] for key in ("test_correct", "test_images", "epochs")
    }
    assert (trained["recipe"], trained["seed"], trained["model"]) == ("small", 3, "z2sa")
    assert trained["cpu_seconds"] > 0

    results.path_of("small", 3, folder).unlink()
    assert sweep.run("small", 3, False, folder)[0] == 0
    evaluated = figures_of(small, 3)
    assert evaluated.pop("cpu_seconds") is None
    assert evaluated == {key: value for key, value in trained.items() if key != "cpu_seconds"}
    assert len(list((small / "saved").glob("*/weights.safetensors"))) == 1

    config = sweep.configuration("small", 3)
    training.run(ConfigDict({**config, "pretrained": True, "train": True}))  # finished last
    assert sweep.weights_of(config).path == weights

    assert sweep.main(["small", "--seeds", "3", "--results", str(folder)]) == 0
    assert "is there" in capsys.readouterr().out

    assert sweep.run("small", 3, True, folder)[0] == 0
    assert figures_of(small, 3)["cpu_seconds"] > 0
    assert len(list((small / "saved").glob("*/weights.safetensors"))) == 3


def test_figures_of_another_configuration_are_not_taken_for_these(small, capsys):
    folder = small / "results"
    config = sweep.configuration("small", 0)
    there = {"recipe": "small", "seed": 0, "config": sweep.identity(config) | {"lr": 0.5}}
    results.write(there, folder)
    assert not sweep._is_there("small", 0, folder)
    assert "of another configuration (lr is 0.5 there and 0.004 here)" in capsys.readouterr().out


def test_a_file_of_ones_own_in_a_process_of_its_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(RECIPE.format(folder=str(tmp_path / "saved")))
    folder = tmp_path / "results"
    assert sweep.main([str(file), "--results", str(folder), "--parallel", "2"]) == 0
    [run] = results.read(str(file), folder)
    assert (run["recipe"], run["seed"], run["test_images"]) == (str(file), 0, 300)
    assert results.path_of(str(file), 0, folder) == folder / "mine" / "seed0.json"


WAITS = """
import multiprocessing, os, signal
from config import get_config

def stop(*_):
    raise KeyboardInterrupt  # as a training does

if multiprocessing.parent_process():
    signal.signal(signal.SIGTERM, stop)
    with open({fifo!r}, "w") as fifo:
        fifo.write(str(os.getpid()))
    signal.pause()
"""


def test_sigterm_stops_the_runs_too_and_begins_no_other(tmp_path):
    file, fifo = tmp_path / "mine.py", tmp_path / "fifo"
    file.write_text(WAITS.format(fifo=str(fifo)))
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "runs.sweep", str(file), "--seeds", "0", "1", "2"]
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **options) as sweeper:
        try:
            run = int(fifo.read_text())  # returns when the run has begun
            sweeper.send_signal(signal.SIGTERM)
            assert sweeper.communicate(timeout=60)[1] == "interrupted: the same command goes on\n"
        finally:
            with contextlib.suppress(ProcessLookupError):  # which is as it should be
                os.killpg(sweeper.pid, signal.SIGKILL)
    assert sweeper.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(run, 0)


def test_mistakes_are_one_line(small, capsys):
    assert sweep.main(["smal"]) == 2
    assert capsys.readouterr().err == "smal: no such recipe; did you mean small?\n"
    assert sweep.main(["small", "smal", "--again"]) == 2  # and small is not trained
    assert capsys.readouterr().err == "smal: no such recipe; did you mean small?\n"
    mine, yours = small / "mine" / "same.py", small / "yours" / "same.py"
    for file in (mine, yours, small / "mine" / "small.py"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(RECIPE.format(folder="saved"))
    assert sweep.main([str(mine), str(yours)]) == 2
    assert "have one name; rename one" in capsys.readouterr().err
    assert sweep.main([str(small / "mine" / "small.py")]) == 2
    assert "there is a recipe of that name in runs/" in capsys.readouterr().err
    for line in ('path = "there"', "smoke = True"):
        mine.write_text(RECIPE.format(folder="saved").replace("epochs = 1", line))
        assert sweep.main([str(mine)]) == 2
        assert f"{line.split()[0]}: a sweep chooses it" in capsys.readouterr().err
    (small / "file").touch()
    assert sweep.main(["small", "--results", str(small / "file" / "results")]) == 2
    assert capsys.readouterr().err.startswith(f"--results: {small / 'file'}")
    damaged = results.path_of("small", 0, small / "results")
    damaged.parent.mkdir(parents=True)
    for text in ("{", "[]", "{}"):
        damaged.write_text(text)
        assert sweep.main(["small"]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{damaged} is damaged") and error.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        sweep.main(["small", "--parallel", "0"])
    assert "expected at least 1" in capsys.readouterr().err


def test_a_run_that_stops_says_why(small):
    text = (small / "runs" / "small.py").read_text()
    (small / "runs" / "small.py").write_text(text.replace("64", "64\n    config.lr = 1e30"))
    code, line = sweep.run("small", 0, False, small / "results")
    assert code == 1
    assert line.startswith("small, seed 0: the") and "loss is" in line
    assert not (small / "results").exists()


def test_a_folder_of_runs_that_cannot_be_made_is_one_line(small):
    (small / "saved").touch()
    code, line = sweep.run("small", 0, False, small / "results")
    assert code == 2 and line == f"small, seed 0: {small / 'saved' / 'logs'}: Not a directory"


KILLS_ITSELF = """
import multiprocessing, os

if multiprocessing.parent_process():
    os.kill(os.getpid(), 9)
"""


def test_a_run_that_is_killed_is_one_line_and_no_interruption(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(KILLS_ITSELF + RECIPE.format(folder=str(tmp_path / "saved")))
    assert sweep.main([str(file), "--results", str(tmp_path), "--again"]) == 1
    line = "a run was killed: the same command without the runs that are done goes on\n"
    assert capsys.readouterr().err == line


def test_figures_that_cannot_be_written_are_one_line_and_the_weights_are_there(small):
    (small / "file").touch()
    code, line = sweep.run("small", 0, False, small / "file")
    assert code == 2 and line == f"small, seed 0: {small / 'file' / 'small'}: Not a directory"
    assert list((small / "saved").glob("*/weights.safetensors"))
