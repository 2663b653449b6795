"""What is kept with trained weights, so that a figure can be traced to what made it."""

import datetime
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict

# What runs write into the checkout is no change of the code that made them.
_CODE = (":/", ":(top,exclude)results", ":(top,exclude)saved")


def git_revision() -> str:
    """The commit of this code, with `-dirty` where its tracked files differ, or `unknown`."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    # Without the optional locks, which would make a `git commit` beside it fail.
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def describe(
    config: ConfigDict,
    results: Mapping[str, Any],
    *,
    revision: str,
    data: str,
    machine: str,
    initial_weights: str,
) -> dict[str, str]:
    """The metadata of a weights file.

    Args:
        config: resolved.
        results: the figures of the run.
        revision: from `git_revision`, when the run began.
        data: where the pixels come from.
        machine: device and precision.
        initial_weights: the file that the run was fine-tuned from, or "".

    Returns:
        Strings by name; `config` and `results` are JSON.
    """
    return {
        "config": json.dumps(config.to_dict()),
        "results": json.dumps(results),
        "seed": str(config.seed),
        "data": data,
        "git_revision": revision,
        "torch": torch.__version__,
        "machine": machine,
        "initial_weights": initial_weights,
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    }
