"""The revision kept with weights is the one that made them."""

from __future__ import annotations

import subprocess

import pytest

from training import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_outside_a_repository_the_revision_is_unknown(repository):
    assert provenance.git_revision() == "unknown"


def test_the_revision_is_the_commit_and_says_when_the_code_differs(repository):
    git(repository, "init")
    (repository / "code.py").write_text("x = 1\n")
    for folder in ("results", "saved"):
        (repository / folder).mkdir()
        (repository / folder / "seed0.json").write_text("{}")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "first")
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "a tag does not replace the commit")
    (repository / "saved.txt").touch()  # an untracked file is no change of the code
    for folder in ("results", "saved"):  # what a run writes is none either
        (repository / folder / "seed0.json").write_text("{1: 1}")
    assert provenance.git_revision() == commit
    (repository / "code.py").write_text("x = 2\n")
    assert provenance.git_revision() == f"{commit}-dirty"
