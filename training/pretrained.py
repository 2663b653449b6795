"""Trained weights for a configuration: those that are shipped, or those of a run of one's own."""

import json
import logging
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from torch import nn

from config import KEYS, get_config
from g_selfatt import datasets, models
from g_selfatt.config_keys import Key
from g_selfatt.datasets import DatasetInfo
from g_selfatt.datasets.errors import one_line
from g_selfatt.models import WEIGHTS, CheckpointError, Weights
from g_selfatt.models.weights import fits, network_record
from training import settings
from training.errors import ConfigError, WeightsError
from training.evaluation import OF_TEST
from training.keys_taken import network_keys, own_keys
from training.run_folder import NOT_IDENTITY, STATE, differences, identity, run_name

logger = logging.getLogger(__name__)
_OF_A_RUN = ("data", "machine", "seed")  # in the metadata


def find(config: ConfigDict) -> Path:
    """The weights that a configuration asks for; what else there is of the network is logged.

    Args:
        config: resolved. Where `path` is given and nothing is to be trained, its weights are meant.
            Otherwise those that are shipped for this network, where every key that differs from its
            default is as they were trained; and where none are, those in `save_dir` of exactly this
            configuration, the run finished last first. Fine-tuned weights are found by `path` only.

    Returns:
        The weights file.

    Raises:
        WeightsError: there is none; the message has the file looked for and the files there are.
    """
    if config.path and not config.train:
        return read(config.path).path
    given = _given(config)
    of_library = models.list_pretrained()
    shipped = [weights for weights in of_library if _is_of(weights, config, given)]
    own = finished_runs(config)
    wanted = Path(config.save_dir, run_name(config))
    if not own and (wanted / WEIGHTS).exists():
        read(wanted)  # damaged: says so
    of_others = [
        weights
        for weights in of_library
        if (weights.dataset, weights.model) == (config.dataset, config.model)
        and weights not in shipped
    ]
    if not shipped + own:
        known = {weights.path.resolve() for weights in of_library}
        files = sorted(Path(config.save_dir).glob(f"*/{WEIGHTS}"))
        there = ", ".join(str(file) for file in files if file.resolve() not in known)
        also = "; ".join(
            f"{weights}; {_by_path(weights)} ({differences(weights.config, config)})"
            for weights in of_others
        )
        raise WeightsError(
            f"no weights of this configuration: looked for {wanted / WEIGHTS}; others under "
            f"{config.save_dir}: {there or 'none'}; shipped with other keys: {also or 'none'}"
        )
    first, *others = shipped + own
    kind = "shipped with the repository" if shipped else "a run of this configuration"
    differing = differences(first.config, config)
    kind += f", not trained as this configuration says ({differing})" if differing else ""
    logger.info("weights: %s, %s", first.path, kind)
    for weights in others:
        logger.info("these fit too: %s; %s", weights, _by_path(weights))
    for weights in of_others:
        logger.info("with other keys: %s; %s", weights, _by_path(weights))
    return first.path


def _by_path(weights: Weights) -> str:
    return f"--config.path={shlex.quote(str(weights.path.parent))}"


def finished_runs(config: ConfigDict, source: str = "") -> list[Weights]:
    """The finished runs of exactly this configuration in its `save_dir`, the last one first.

    Args:
        config: resolved.
        source: the digest of the weights that they were fine-tuned from; where there is none, runs
            that began with random numbers, or with `config.weights`.
    """
    shipped = {weights.path.resolve() for weights in models.list_pretrained()}
    runs = [
        weights
        for weights in models.list_weights(config.save_dir)
        if weights.path.resolve() not in shipped
        and not differences(weights.config, config)
        and started_from(weights, config, source)
    ]
    return sorted(runs, key=lambda weights: weights.metadata.get("finished", ""), reverse=True)


def started_from(run: Weights, config: ConfigDict, source: str) -> bool:
    """Whether a run began with the numbers of a source, as in `finished_runs`."""
    initial = run.metadata.get("initial_weights", "")
    return initial.endswith(source) if source else bool(config.weights) or not initial


def read(folder: str | Path) -> Weights:
    """The weights of a run folder.

    Raises:
        WeightsError: there are none, or they are damaged.
    """
    try:
        return Weights.read(Path(folder, WEIGHTS))
    except FileNotFoundError:
        if Path(folder, STATE).exists():
            raise WeightsError(
                f"{folder} holds a run that is not finished; the command that began it goes on"
            ) from None
        there = ", ".join(str(path) for path in sorted(Path(folder).parent.glob(f"*/{WEIGHTS}")))
        raise WeightsError(
            f"no weights in path: looked for {Path(folder, WEIGHTS)}; beside it: {there or 'none'}"
        ) from None
    except CheckpointError as error:
        raise WeightsError(str(error)) from error


def verified(folder: str | Path) -> Weights:
    """The weights of a run folder, whole: every number is read.

    Raises:
        WeightsError: there are none, or they are damaged.
    """
    weights = read(folder)
    try:
        models.load_model(weights)
    except ValueError as error:
        raise WeightsError(f"{error}; or delete the file, to go on from the state") from error
    return weights


def named(source: str | Path) -> Weights:
    """The weights of a run folder, or shipped weights by their full name or a pattern of it.

    Raises:
        WeightsError: there are no such weights, or they are damaged.
    """
    try:
        if Path(source).is_dir():
            return read(source)
        if Path(source).exists():
            return Weights.read(source)
        shipped = models.list_pretrained(str(source))
    except (CheckpointError, FileNotFoundError) as error:
        raise WeightsError(one_line(error)) from error
    if not shipped:
        names = ", ".join(weights.name for weights in models.list_pretrained())
        raise WeightsError(f"{source} is no run folder and no shipped weights; shipped are {names}")
    return shipped[0]


def load(path: Path, model: nn.Module) -> dict[str, str]:
    """Load weights strictly and check their digest.

    Returns:
        The metadata of `provenance.describe`.

    Raises:
        WeightsError: damaged, or not this network's.
    """
    try:
        metadata = models.load_weights(path, model)
        results = Weights.read(path).results
    except (CheckpointError, FileNotFoundError) as error:
        raise WeightsError(str(error)) from error
    missing = [name for name in _OF_A_RUN if name not in metadata]
    missing += [name for name in OF_TEST if name not in results]
    if missing:
        raise WeightsError(f"{path} was not written by training: it lacks {', '.join(missing)}")
    return metadata


def as_trained(path: Path, info: DatasetInfo) -> DatasetInfo:
    """The record of a data set that trained weights are evaluated on.

    Args:
        path: the weights file.
        info: what the images that there are now tell, which may be another folder's.

    Returns:
        The same with the mean and the standard deviation that the network was trained with.

    Raises:
        WeightsError: the classes are others than those of the weights.
    """
    known = Weights.read(path).pretrained_config
    if known["classes"] != tuple(info.class_names):
        raise WeightsError(
            f"{path} tells {', '.join(known['classes'])} apart; the classes of these images are "
            f"{', '.join(info.class_names)}"
        )
    return replace(info, mean=known["mean"], std=known["std"])


def of_folder(config: ConfigDict) -> ConfigDict:
    """The configuration of the run in `config.path`, to evaluate it.

    Args:
        config: not yet resolved. Where it computes, reads and reports is as it says; of the other
            keys those of the network and the data set must be the run's where they are given, and
            the rest does not matter.

    Raises:
        WeightsError: the folder has no weights.
        ConfigError: a key of the network or the data set is not the run's.
    """
    there = read(config.path).config
    own = own_keys(there)
    keys = {**KEYS, **own}
    matter = {"dataset", "model", *own, *(key.name for key in network_keys(there))} - NOT_IDENTITY
    of_run = {name: there[name] for name in sorted(matter) if name in there}
    refuse_contradiction(config, keys, of_run, f"the run in {config.path}")
    there = {name: value for name, value in there.items() if name in keys}
    here = {name: config[name] for name in (*NOT_IDENTITY, "amp")}
    if config.data_dir == KEYS["data_dir"].default:
        del here["data_dir"]  # where the run had its data
    merged = {**get_config().to_dict(), **there, **here}
    for name, key in keys.items():
        if key.type is tuple and merged.get(name) is not None:
            merged[name] = tuple(merged[name])  # a list in JSON
    return ConfigDict(merged)


def refuse_contradiction(
    config: ConfigDict, keys: Mapping[str, Key], there: Mapping[str, Any], source: str
) -> None:
    """Refuse a key that is given and is not as weights have it.

    Args:
        config: not yet resolved.
        keys: by name.
        there: the values that the weights have.
        source: what the weights are, for the message.

    Raises:
        ConfigError: the line names the key.
    """
    for name, value in there.items():
        here = config.get(name, keys[name].default)
        given = here is not None and here != keys[name].default
        # In JSON, as the weights have it, where a tuple is a list.
        if given and json.dumps(here).lower() != json.dumps(value).lower():
            raise ConfigError(f"{name}: got {here!r}, and {source} has {value!r}; leave it out")


def _given(config: ConfigDict) -> set[str]:
    """The keys that are not what the data set and the network have by default."""
    default = settings.resolve(get_config(dataset=config.dataset, model=config.model))
    usual, this = identity(default), identity(config)
    return {name for name in this if this[name] != usual.get(name)}


def _is_of(weights: Weights, config: ConfigDict, given: set[str]) -> bool:
    """Whether shipped weights are of the network of a configuration, and as trained as it says."""
    if (weights.model, weights.dataset) != (config.model, config.dataset):
        return False
    info = datasets.INFO[config.dataset]
    arguments: Mapping[str, Any] = models.model_entry(config.model).arguments_for(info)
    taken = {key.keyword: config[key.name] for key in network_keys(config)}
    wanted = network_record(config.model, info, {**arguments, **taken})
    trained, this = identity(weights.config), identity(config)
    return fits(weights, wanted) and all(trained.get(name) == this[name] for name in given)
