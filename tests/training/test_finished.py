"""The command of a finished run: it says so, repeats it when asked, goes on where it can."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from small_runs import folder_of

from training import finished, job
from training.errors import ConfigError
from training.run_folder import CONFIG, FINAL, METRICS, PREVIOUS_STATE, run_name

ONE = "epochs=1"


def folders(config):
    return sorted(path.name for path in Path(config.save_dir).iterdir())


def test_it_says_that_it_is_finished_and_trains_nothing(configure, run, capsys, monkeypatch):
    trained = run(ONE)
    monkeypatch.setattr(job, "Experiment", lambda *_: pytest.fail("it loaded the data"))
    capsys.readouterr()
    assert run(ONE) == trained
    first, second = capsys.readouterr().out.splitlines()
    folder = folder_of(configure(ONE))
    assert first.startswith("finished already: test accuracy: ") and str(folder) in first
    assert f"({trained['test_correct']} of 24 images)" in first
    assert "trained on UCI handwritten digits inside scikit-learn" in first
    assert "--config.repeat=True" in second
    assert f"--config.pretrained=True --config.path={folder}; it cannot go on: scheduler=" in second
    assert folders(configure()) == [folder.name]


def test_what_it_prints_can_be_typed_where_paths_have_spaces(run, tmp_path, capsys):
    there = f"save_dir={tmp_path / 'my saved'}"
    run(ONE, there)
    (folder,) = (tmp_path / "my saved").iterdir()
    assert shlex.split(capsys.readouterr().out.split("; ")[-1])[3] == str(folder)
    run(ONE, there)
    assert f"--config.path={folder};" in shlex.split(capsys.readouterr().out)


def test_a_run_in_a_folder_of_another_name_is_the_same_run(configure, run):
    """As after an update that gave the configuration a new key, and the name another hash."""
    trained = run(ONE)
    folder = folder_of(configure(ONE))
    folder.rename(folder.with_name("older-name"))
    assert json.loads((folder.with_name("older-name") / CONFIG).read_text())["epochs"] == 1
    assert run(ONE) == trained
    assert folders(configure()) == ["older-name"]


def test_fine_tuning_again_says_so_too(configure, run):
    run(ONE)
    tuned = run(ONE, "pretrained=True", "train=True")
    assert run(ONE, "pretrained=True", "train=True") == tuned
    name = run_name(configure(ONE))
    assert folders(configure()) == [name, f"{name}-finetuned"]


def test_a_path_that_holds_another_finished_run_is_refused(run, tmp_path):
    path = f"path={tmp_path / 'mine'}"
    trained = run(ONE, path)
    assert run(ONE, path) == trained
    with pytest.raises(ConfigError, match=r"holds a finished run of another .*\(lr is 0.004 there"):
        run(ONE, path, "lr=0.5")


@pytest.mark.parametrize("schedule", ["constant", "multistep sched_decay_steps=(1,)"])
def test_extended_it_is_the_longer_run_to_the_bit(configure, run, caplog, schedule):
    keys = (*f"scheduler={schedule}".split(), "dropout_att=0.2", "ema_decay=0.5")
    caplog.set_level("INFO")
    if schedule == "constant":
        run(*keys, "epochs=1")  # of two, the longer one is gone on from
    run(*keys, "epochs=2")
    whole = run(*keys, "epochs=3", "comment=whole")
    extended = run(*keys, "epochs=3", "extend=True")
    del whole["seconds"], extended["seconds"]
    assert extended == whole
    short = folder_of(configure(*keys, "epochs=2"))
    assert f"extending {short}, 2 epochs, into" in caplog.text
    rows = (folder_of(configure(*keys, "epochs=3")) / METRICS).read_text()
    assert len(rows.splitlines()) == 4


def test_extended_in_a_folder_of_ones_own_it_is_finished_the_second_time(run, tmp_path, capsys):
    mine = ("scheduler=constant", f"path={tmp_path / 'mine'}")
    run(*mine, ONE)
    run(*mine, "epochs=2", "extend=True")
    run(*mine, "epochs=2", "extend=True")
    assert "finished already" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("mine*")) == ["mine", "mine-2"]


def test_without_being_asked_it_trains_from_the_start_and_says_how_to_go_on(run, caplog):
    caplog.set_level("INFO")
    run("scheduler=constant", ONE)
    assert "--config.extend" not in caplog.text
    run("scheduler=constant", "epochs=2")
    assert "has 1 epochs of this; --config.extend=True goes on there" in caplog.text
    assert "extending" not in caplog.text


def test_why_a_run_cannot_be_extended(configure, run):
    constant = "scheduler=constant"
    with pytest.raises(ConfigError, match=r"^extend: scheduler=one_cycle ends with the last epoch"):
        run("extend=True")
    with pytest.raises(ConfigError, match=r"^extend: no finished run .* fewer than 2 epochs and "):
        run(constant, "epochs=2", "extend=True")
    run(constant, ONE)
    with pytest.raises(ConfigError, match=r"^extend: no finished run"):
        run(constant, "epochs=2", "lr=0.1", "extend=True")
    (folder_of(configure(constant, ONE)) / FINAL).unlink()
    with pytest.raises(ConfigError, match=r"fewer than 2 epochs and a final\.pt, which it goes on"):
        run(constant, "epochs=2", "extend=True")


def test_of_the_shorter_runs_one_that_can_go_on_is_taken(configure, run, caplog):
    """Neither the longest, which has no last state, nor the fine-tuned one."""
    constant = "scheduler=constant"
    run(constant, ONE)
    run(constant, "epochs=2")
    run(constant, "epochs=2", "pretrained=True", "train=True")
    (folder_of(configure(constant, "epochs=2")) / FINAL).unlink()
    caplog.set_level("INFO")
    run(constant, "epochs=3", "extend=True")
    short = folder_of(configure(constant, ONE))
    assert f"extending {short}, 1 epochs, into" in caplog.text


def test_a_path_of_dots_is_a_folder_with_a_name(run, tmp_path, monkeypatch):
    keys = ("scheduler=constant", "path=.")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    run(*keys, ONE)
    run(*keys, "epochs=2", "extend=True")
    assert sorted(path.name for path in tmp_path.glob("mine*")) == ["mine", "mine-2"]


def test_an_extension_keeps_the_state_it_has_reached(tmp_path):
    """It was killed between two renames: the state before its last one is there."""
    (tmp_path / PREVIOUS_STATE).touch()
    finished.extend(None, None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [PREVIOUS_STATE]
