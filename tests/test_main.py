"""The program itself, as a user starts it: exit codes, one line for a mistake, a smoke run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import main
import training
from config import KEYS

PROGRAM = Path(main.__file__)


def start(folder, *arguments):
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_help_shows_every_key(tmp_path):
    done = start(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in KEYS)


def test_help_for_a_reader_that_stops(tmp_path):
    command = f"{sys.executable} {PROGRAM} --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--config.bath_size=3"], "bath_size: no such key, did you mean --config.batch_size?"),
        (["--config.patch_size=13"], "patch_size: got 13, expected at most 12"),
        (
            ["--config.pretrained=True", "--config.seed=1"],
            "no weights of this configuration: looked for saved/",
        ),
    ],
)
def test_a_mistake_ends_in_one_line_with_code_2_and_leaves_nothing(tmp_path, arguments, line):
    done = start(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_smoke_run_of_the_default_command(tmp_path):
    done = start(tmp_path, "--config.smoke=True", "--config.device=cpu")
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stderr
    assert "test accuracy: " in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (training.errors.NonFiniteLoss("the loss is nan"), 1, "the loss is nan\n"),
        (training.errors.Interrupted("goes on from epoch 2"), 130, "goes on from epoch 2\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (training.errors.Terminated("goes on from epoch 2"), 143, "goes on from epoch 2\n"),
        (training.errors.Termination(), 143, "terminated\n"),
    ],
)
def test_how_a_run_ends_decides_the_exit_code(error, code, line, monkeypatch, capsys):
    def run(config):
        raise error

    monkeypatch.setattr(training, "run", run)
    assert main.main([]) == code
    assert capsys.readouterr().err == line


def test_of_several_processes_one_says_what_all_know(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main.main(["--config.lr=-1"]) == 2
    assert capsys.readouterr().err == ""


def test_an_error_of_the_program_is_not_taken_for_the_users(monkeypatch):
    def run(config):
        raise ValueError("a bug")

    monkeypatch.setattr(training, "run", run)
    with pytest.raises(ValueError, match="a bug"):
        main.main([])
