"""A run that is finished: the same command says so, repeats it or goes on from it."""

import itertools
import logging
import shlex
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from g_selfatt.datasets import DatasetInfo
from g_selfatt.models import Weights, list_weights, read_metadata
from training import pretrained
from training.checkpointing import load_final, save_state
from training.errors import ConfigError, UserError
from training.evaluation import Score
from training.run_folder import (
    FINAL,
    PREVIOUS_STATE,
    STATE,
    differences,
    identity,
    is_finished,
    numbered,
)
from training.schedulers import EXTENDABLE

logger = logging.getLogger(__name__)


def find(config: ConfigDict, initial_weights: Path | None) -> Weights | None:
    """The finished run of a configuration that is to be trained, the last where there are several.

    Args:
        config: resolved.
        initial_weights: the file that is to be fine-tuned, or None.

    Returns:
        Its weights; None where there is no such run, or another is asked for.

    Raises:
        ConfigError: `path` holds a finished run of another configuration.
    """
    if config.repeat or not config.train:
        return None
    if config.path:
        for folder in itertools.takewhile(is_finished, numbered(Path(config.path))):
            run = pretrained.read(folder)
            if not (differing := differences(run.config, config)):
                return run
            if not config.extend:  # an extension is in a folder beside it
                raise ConfigError(
                    f"path: {folder} holds a finished run of another configuration ({differing}); "
                    "give another path to train, or --config.pretrained=True to evaluate it"
                )
        return None
    runs = pretrained.finished_runs(config, _digest(initial_weights))
    return next((run for run in runs if is_finished(run.path.parent)), None)


def _digest(weights: Path | None) -> str:
    return read_metadata(weights)["sha256"] if weights else ""


def report(run: Weights) -> str:
    """What a finished run has come to, and what can be done with it, in two lines."""
    results = run.results
    if run.config["scheduler"] in EXTENDABLE and (run.path.parent / FINAL).exists():
        more = f"to go on: --config.extend=True with --config.epochs above {results['epochs']}"
    else:
        more = f"it cannot go on: scheduler={run.config['scheduler']} ended with its last epoch"
        if run.config["scheduler"] in EXTENDABLE:
            more = f"it cannot go on: {FINAL} is not there"
    return (
        f"finished already: test accuracy: {Score.of(results)}, with the weights of epoch "
        f"{results['best_epoch']} of {results['epochs']}, trained on {run.metadata['data']}: "
        f"{run.path}\n"
        f"to train it again: --config.repeat=True; to evaluate it: --config.pretrained=True "
        f"--config.path={shlex.quote(str(run.path.parent))}; {more}"
    )


def refuse_other_images(run: Weights, info: DatasetInfo) -> None:
    """UserError where a finished run was trained on other images than there are now."""
    there = run.metadata["data"]
    if info.fingerprint and not there.endswith(info.fingerprint):
        raise UserError(
            f"{run.path.parent} is finished, but was trained on other images ({there}) than there "
            f"are now ({info.fingerprint}): --config.repeat=True trains on these"
        )


def shorter_run(config: ConfigDict, initial_weights: Path | None) -> Weights | None:
    """The finished run of the same configuration with fewer epochs, to be gone on from.

    Args:
        config: resolved.
        initial_weights: the file that is to be fine-tuned, or None.

    Returns:
        The one with the most epochs; None, and a line in the log where there is one, unless
        `config.extend` asks for it.

    Raises:
        ConfigError: it is asked for, and there is none, or it cannot go on.
    """
    if not config.train or (not config.extend and config.path):
        return None
    runs = [pretrained.read(config.path)] if config.path else list_weights(config.save_dir)
    source = _digest(initial_weights)
    shorter = [
        run
        for run in runs
        if run.results["epochs"] < config.epochs
        and not differences(run.config | {"epochs": config.epochs}, config)
        and pretrained.started_from(run, config, source)
        and config.scheduler in EXTENDABLE
        and (run.path.parent / FINAL).exists()
    ]
    run = max(shorter, key=lambda run: run.results["epochs"], default=None)
    if not config.extend:
        if run:
            folder, done = run.path.parent, run.results["epochs"]
            logger.info(
                "%s has %d epochs of this; --config.extend=True goes on there", folder, done
            )
        return None
    if config.scheduler not in EXTENDABLE:
        raise ConfigError(
            f"extend: scheduler={config.scheduler} ends with the last epoch, so a run cannot go on "
            f"from there ({', '.join(EXTENDABLE)} can); leave it out to train from the start"
        )
    if run is None:
        raise ConfigError(
            f"extend: no finished run of this configuration with fewer than {config.epochs} epochs "
            f"and a {FINAL}, which it goes on from, in {config.path or config.save_dir}"
        )
    return run


def extend(run: Weights, config: ConfigDict, folder: Path) -> None:
    """Make a folder that of a run which was interrupted where another one finished.

    Args:
        run: finished.
        config: the same with more epochs.
        folder: claimed for it.
    """
    if (folder / STATE).exists() or (folder / PREVIOUS_STATE).exists():
        return  # an extension that was interrupted
    state: dict[str, Any] = load_final(run.path.parent)
    save_state(folder, {**state, "run": identity(config), "tracking_id": None})
    logger.info("extending %s, %d epochs, into %s", run.path.parent, run.results["epochs"], folder)
