"""Where a run lives: its identity, its name, its folder, and files that are never half written.

A run folder holds config.json, metrics.jsonl and, while the run is unfinished, state.pt and the
state before it. When it is finished curves.png, confusion.png and, last of all, weights.safetensors
appear, and the states go: a folder with weights is never written to again. Where the schedule
allows more epochs the last state stays, as final.pt. While a process is at work in it, it holds
run.lock.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from config import KEYS, SECTIONS
from g_selfatt import datasets, models
from g_selfatt.datasets.files import replacing
from g_selfatt.models import WEIGHTS
from training.errors import ConfigError, UserError
from training.keys_taken import network_keys, own_keys
from training.lock import hold

STATE, PREVIOUS_STATE, FINAL = "state.pt", "state.previous.pt", "final.pt"
CONFIG = "config.json"
METRICS, CURVES, CONFUSION = "metrics.jsonl", "curves.png", "confusion.png"
_AFTER_CONFIG = (METRICS, CURVES, CONFUSION, FINAL)  # what a run writes when its CONFIG is there
_WRITTEN = (CONFIG, STATE, WEIGHTS, *_AFTER_CONFIG)

# What does not change the numbers of a run: where it computes, reads, writes and reports.
NOT_IDENTITY = {
    key.name for section in ("The machine", "Files", "Tracking") for key in SECTIONS[section]
} - {"amp"} | {"backend"}
# Younger than the first runs: part of the identity only with other values than those runs had, so
# that their names stay.
_YOUNGER = {"weights", "freeze", "spatial_pooling", "locality_init"}


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that decides the numbers of a run.

    Args:
        config: a resolved ConfigDict, or config.json of another run; a key that is younger than
            that run has its default, or its `before`.

    Returns:
        Key to value, as JSON has them, so that both sources compare equal.
    """
    chosen, old = _choices(config)
    return {name: v for name, v in chosen.items() if name not in _YOUNGER or v != old[name]}


def run_name(config: ConfigDict) -> str:
    """A name to read and a hash of the identity: `rotDigits-p4sa-local5-seed0-1a2b3c4d`."""
    digest = hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()
    window = f"local{config.patch_size}" if config.attention_type == "Local" else "global"
    if "attention_type" not in _taken(config):
        window = ""
    info = datasets.INFO[config.dataset]
    data = Path(config.data_dir).resolve().name if info.located else config.dataset
    parts = [data, config.model, window, f"seed{config.seed}", config.comment, digest[:8]]
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts if part)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What keeps two configurations from being the same run, in words; empty if nothing does."""
    then, now = _choices(there)[0], _choices(here)[0]
    return "; ".join(
        f"{name} is {then.get(name)!r} there and {now[name]!r} here"
        for name in now
        if then.get(name) != now[name]
    )


def _choices(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys that decide the numbers of a run, and the values of runs older than a key."""
    keys, ignored = {**KEYS}, NOT_IDENTITY
    if config["model"] in models.list_models() and config["dataset"] in datasets.INFO:
        keys |= own_keys(config)
        ignored = ignored | {k.name for k in SECTIONS["The network"]} - _taken(config)
        if datasets.INFO[config["dataset"]].located:
            ignored = ignored - {"data_dir"}
    old = {
        key.name: key.before if key.default is None else key.default
        for key in keys.values()
        if key.name not in ignored
    }
    chosen = {name: config.get(name, value) for name, value in old.items()}
    chosen["weights"] = Path(chosen["weights"]).name  # the full name, wherever the folder is
    if "data_dir" in chosen:
        chosen["data_dir"] = os.path.normpath(chosen["data_dir"])  # DIR/ is DIR
    return json.loads(json.dumps(chosen)), old


def _taken(config: Mapping[str, Any]) -> set[str]:
    return {key.name for key in network_keys(config)}


@contextmanager
def claimed(config: ConfigDict, suffix: str = "") -> Iterator[Path]:
    """Make the folder that training this configuration writes to, and hold it.

    Args:
        config: resolved.
        suffix: goes to the end of the name, for a run that is more than its configuration.

    Returns:
        A context with the folder of `claim`, which no other process can have meanwhile.

    Raises:
        UserError: as `claim`; another process holds the folder; it cannot be made.
    """
    while True:
        folder = claim(config, suffix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            key = "path" if config.path else "save_dir"
            raise UserError(f"{key}: cannot make {folder}: {error.strerror}") from error
        with hold(folder):
            for name in _WRITTEN:  # by a process that was killed meanwhile
                for half in folder.glob(f".{name}.*.part"):
                    half.unlink()
            if claim(config, suffix) == folder:  # and not finished by who held it until now
                yield folder
                return


def claim(config: ConfigDict, suffix: str = "") -> Path:
    """The folder that training this configuration writes to; makes nothing.

    Args:
        config: resolved.
        suffix: goes to the end of the name, for a run that is more than its configuration.

    Returns:
        `config.path`, or a folder of the run's name in `config.save_dir`; the first of `name`,
        `name-2`, `name-3`, ... that holds no finished run. A folder with weights and a state is
        that of a run that was killed at its very end, and is given.

    Raises:
        ConfigError: `path` holds an unfinished run of another configuration, or files of a run's
            names that no run wrote.
    """
    wanted = Path(config.path or Path(config.save_dir, run_name(config) + suffix))
    folder = next(folder for folder in numbered(wanted) if not is_finished(folder))
    _protect(folder, config)
    return folder


def numbered(wanted: Path) -> Iterator[Path]:
    """`name`, `name-2`, `name-3`, ...: where a run goes, and after it those of the same name."""
    yield wanted
    wanted = wanted.resolve()  # "." has a name too
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.name}-{number}")


def is_finished(folder: Path) -> bool:
    """Whether a folder is that of a finished run, which was not killed while its states went."""
    return (folder / WEIGHTS).exists() and not (folder / STATE).exists()


def _protect(folder: Path, config: ConfigDict) -> None:
    """ConfigError where the folder holds another run, unfinished, or files of a stranger's."""
    try:
        there = json.loads((folder / CONFIG).read_text())
        ours = isinstance(there["model"], str) and isinstance(there["dataset"], str)
    except (FileNotFoundError, NotADirectoryError):
        if strange := [name for name in _AFTER_CONFIG if (folder / name).exists()]:
            raise ConfigError(
                f"path: {folder} has a {' and a '.join(strange)}, but no {CONFIG} of a run; give "
                "another path, or move them"
            ) from None
        return
    except (ValueError, TypeError, LookupError, RecursionError):
        ours = False
    if not ours:
        raise ConfigError(
            f"path: {folder / CONFIG} was not written by a run; give another path, or move it"
        )
    if (folder / STATE).exists() and (differing := differences(there, config)):
        raise ConfigError(
            f"path: {folder} holds an unfinished run of another configuration ({differing}); "
            "give another path, or delete it"
        )


def printable(text: str) -> str:
    r"""A text whose paths need not be UTF-8, with every such byte as `\udcff`."""
    return text.encode(errors="backslashreplace").decode()


def write_atomic(path: Path, data: bytes | str, previous: Path | None = None) -> None:
    """Write a file so that whoever looks finds the old or the new content, whole.

    Args:
        path: the file; missing folders are made.
        data: text is written as UTF-8.
        previous: where the old file goes, if there is one.

    Raises:
        OSError: it cannot be written; the old content is still there, and nothing else is left.
    """
    with replacing(path, previous) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
