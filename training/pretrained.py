"""Weights that an earlier run left: found by their configuration, loaded strictly."""

import json
from pathlib import Path

from ml_collections import ConfigDict
from torch import nn

from models import CheckpointError, load_weights, read_metadata
from training.errors import WeightsError
from training.run_folder import WEIGHTS, differences, run_name


def find(config: ConfigDict) -> Path:
    """The weights of exactly this configuration.

    Args:
        config: resolved. Where `path` is given and nothing is to be trained, its weights are meant;
            otherwise those in `save_dir`.

    Returns:
        The weights file; the one finished last where the run was repeated. Fine-tuned weights are
        found by `path` alone.

    Raises:
        WeightsError: there is none; the message has the file looked for and the files there are.
    """
    if config.path and not config.train:
        return _of_path(config)
    wanted = Path(config.save_dir, run_name(config), WEIGHTS)
    finished = {}
    # Every folder, whatever its name: the name has a hash of the keys that there were at the time.
    for path in Path(config.save_dir).glob(f"*/{WEIGHTS}"):
        try:
            metadata = _metadata(path)
        except WeightsError:
            if path.parent == wanted.parent:
                raise
            continue  # damaged, or not ours: no business of this run
        same = not differences(json.loads(metadata["config"]), config)
        if same and not metadata["initial_weights"]:
            finished[metadata["finished"]] = path
    if not finished:
        raise WeightsError(
            f"no weights of this configuration: looked for {wanted}; {_there(config)}"
        )
    return finished[max(finished)]


def load(path: Path, model: nn.Module) -> dict[str, str]:
    """Load weights strictly and check their digest.

    Returns:
        The metadata of `provenance.describe`.

    Raises:
        WeightsError: damaged, or not this network's.
    """
    try:
        return load_weights(path, model)
    except (CheckpointError, FileNotFoundError) as error:
        raise WeightsError(str(error)) from error


def _of_path(config: ConfigDict) -> Path:
    path = Path(config.path, WEIGHTS)
    if not path.exists():
        raise WeightsError(f"no weights in path: looked for {path}; {_there(config)}")
    if differing := differences(json.loads(_metadata(path)["config"]), config):
        raise WeightsError(f"{path} is of another configuration ({differing})")
    return path


def _there(config: ConfigDict) -> str:
    there = ", ".join(str(path) for path in sorted(Path(config.save_dir).glob(f"*/{WEIGHTS}")))
    return f"weights under {config.save_dir}: {there or 'none'}"


def _metadata(path: Path) -> dict[str, str]:
    try:
        metadata = read_metadata(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if "config" not in metadata:
        raise WeightsError(f"{path} was not written by training: it has no configuration with it")
    return metadata
