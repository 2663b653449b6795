"""One run from its configuration to its figures: training or evaluation."""

import json
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from g_selfatt import datasets, models
from g_selfatt.datasets.splits import FolderSplit
from training import distributed, finished, pretrained
from training.allocator import keep_freed_memory
from training.checkpointing import close_states
from training.evaluation import Score
from training.experiment import Experiment
from training.figures import by_class, figures, say, test
from training.keys_taken import doubts
from training.run_folder import WEIGHTS, claimed
from training.schedulers import EXTENDABLE
from training.settings import choose_device
from training.training_run import TrainingRun

logger = logging.getLogger(__name__)
SMOKE_IMAGES = 2  # of each split, or one for each process


def run(config: ConfigDict) -> dict[str, Any]:
    """Train or evaluate; see `training.run`, which main.py calls."""
    for line in doubts(config):
        logger.warning(line)
    device = distributed.device_here(choose_device(config.device))
    keep_freed_memory()
    with distributed.processes(device):
        weights = distributed.on_first(lambda: _find_weights(config))
        if config.smoke:
            few = max(SMOKE_IMAGES, distributed.size())
            least = {
                "batch_size": few,
                "epochs": 1,
                "num_workers": 0,
                "path": "",
                "wandb": "disabled",
            }
            config = ConfigDict({**config, **least})
            with tempfile.TemporaryDirectory(prefix="g_selfatt-smoke-") as folder:
                config.save_dir = folder
                return _run(Experiment(config, weights, device))
        if config.train:
            distributed.refuse_uneven(config.batch_size)
        located = datasets.INFO[config.dataset].located
        if run := distributed.on_first(lambda: finished.find(config, weights)):
            if located:  # the images of a folder can be others now
                finished.refuse_other_images(run, Experiment(config, weights, device).splits.info)
            say(finished.report(run))
            return run.results
        shorter = distributed.on_first(lambda: finished.shorter_run(config, weights))
        experiment = Experiment(config, weights, device)
        if located and config.train:
            distributed.on_first(lambda: _check_test_images(experiment))
        return _run(experiment, shorter)


def _check_test_images(experiment: Experiment) -> None:
    """One that cannot be read must not be found after the last epoch."""
    if isinstance(experiment.splits.test, FolderSplit):
        experiment.splits.test.check()


def _find_weights(config: ConfigDict) -> Path | None:
    """What is evaluated, or what training starts from."""
    if config.pretrained:
        return pretrained.find(config)
    return pretrained.named(config.weights).path if config.weights else None


def _run(experiment: Experiment, shorter: models.Weights | None = None) -> dict[str, Any]:
    config = experiment.config
    if not config.train:
        return _evaluate(experiment)
    with ExitStack() as held:
        suffix = "-finetuned" if config.pretrained else ""
        folder = distributed.on_first(lambda: held.enter_context(claimed(config, suffix)))
        if (folder / WEIGHTS).exists():
            return _already_finished(config, folder)
        if shorter:
            distributed.on_first(lambda: finished.extend(shorter, config, folder))
        return TrainingRun(experiment, folder).run()


def _evaluate(experiment: Experiment) -> dict[str, Any]:
    metadata = pretrained.load(experiment.weights, experiment.model)
    recorded = json.loads(metadata["results"])
    info, there = experiment.splits.info, metadata["data"]
    same = there.endswith(info.fingerprint or info.provenance)
    if not same and not info.provenance.startswith(there):  # older weights have no fingerprint
        logger.warning(
            "other pixels: these weights were trained on %s; the images here are %s",
            *(there, info.provenance),
        )
    score, classes = test(experiment), experiment.splits.info.class_names
    then = Score.of(recorded)
    say(f"weights: {experiment.weights}, trained on {metadata['machine']}, seed {metadata['seed']}")
    say(f"test accuracy: {score}; recorded when they were trained: {then}")
    say(by_class(score, classes))
    return {**recorded, **figures(score, classes)}


def _already_finished(config: ConfigDict, folder: Path) -> dict[str, Any]:
    """What is left of a run that was killed when its weights were there and its state was too."""
    run = pretrained.verified(folder)  # before the states go
    keep = config.scheduler in EXTENDABLE
    distributed.on_first(lambda: close_states(folder, keep))
    say(finished.report(run))
    return run.results
