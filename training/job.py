"""One run from its configuration to its figures: data, network, training or evaluation, report."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict

import datasets
import models
from training import curves, pretrained
from training.checkpointing import load_state, save_state
from training.errors import Interrupted, NonFiniteLoss, UserError
from training.evaluation import Score, evaluate
from training.network import compile_network, create_network
from training.optimisers import create_optimiser
from training.precision import Precision
from training.provenance import describe, git_revision
from training.run_folder import CONFIG, CURVES, METRICS, STATE, WEIGHTS, claim, write_atomic
from training.schedulers import create_scheduler
from training.seeding import seed_everything
from training.settings import choose_device
from training.tracking import Tracker
from training.trainer import Trainer

logger = logging.getLogger(__name__)
SMOKE_IMAGES = 2


def run(config: ConfigDict) -> dict[str, Any]:
    """Train or evaluate; see `training.run`, which main.py calls."""
    weights = pretrained.find(config) if config.pretrained else None
    if not config.smoke:
        return _Job(config, weights).run()
    with tempfile.TemporaryDirectory(prefix="g_selfatt-smoke-") as folder:
        few = {"batch_size": SMOKE_IMAGES, "epochs": 1, "num_workers": 0, "save_dir": folder}
        return _Job(ConfigDict({**config, **few}), weights).run()


class _Job:
    """What training and evaluation share: device, precision, data and network."""

    def __init__(self, config: ConfigDict, weights: Path | None) -> None:
        self.config = config
        self.weights = weights
        self.device = choose_device(config.device)
        self.precision = Precision(config.amp, self.device, config.scheduler)
        self.machine = f"{_name(self.device)}, amp {self.precision.amp}"
        self.splits = datasets.load(
            config.dataset,
            config.data_dir,
            eval_protocol=config.eval_protocol,
            limit=SMOKE_IMAGES if config.smoke else None,
            **{key.keyword: config[key.name] for key in datasets.INFO[config.dataset].keys},
        )
        seed_everything(config.seed)
        self.model = create_network(config, self.splits.info, self.device)
        if config.compile:
            compile_network(self.model, self.splits.info, self.device, self.precision)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        logger.info(
            "%s on %s (%s): %s parameters, %s training images, %s",
            *(config.model, config.dataset, self.splits.info.provenance),
            *(f"{self.parameters:,}", f"{len(self.splits.train):,}", self.machine),
        )
        self.selected_on = "test" if config.eval_protocol == "paper" else "validation"
        if self.selected_on == "test":
            logger.warning(
                "eval_protocol=paper: the best epoch is picked on the test images, as in the "
                "released code, so the test accuracy is optimistic"
            )

    def run(self) -> dict[str, Any]:
        return self._train() if self.config.train else self._evaluate()

    def _evaluate(self) -> dict[str, Any]:
        metadata = pretrained.load(self.weights, self.model)
        recorded = json.loads(metadata["results"])
        if metadata["data"] != self.splits.info.provenance:
            logger.warning(
                "other pixels: these weights were trained on %s; the images here are %s",
                metadata["data"],
                self.splits.info.provenance,
            )
        score = evaluate(self.model, self._batches("test"), self.precision)
        then = Score(recorded["test_loss"], recorded["test_correct"], recorded["test_images"])
        print(f"weights: {self.weights}, trained on {metadata['machine']}, seed {metadata['seed']}")
        print(f"test accuracy: {score}; recorded when they were trained: {then}")
        return {**recorded, **_test_figures(score)}

    def _train(self) -> dict[str, Any]:
        config = self.config
        revision = git_revision()
        folder = claim(config, "-finetuned" if self.weights else "")
        trainer = self._trainer()
        # Where the network's numbers come from, the first that there is:
        # 1. the state of this very run, where it was interrupted;
        # 2. the weights of a finished run, to be fine-tuned;
        # 3. its creation, which drew them from the seed.
        state = load_state(folder) or {"tracking_id": None, "initial_weights": ""}
        if "trainer" in state:
            trainer.load_state_dict(state["trainer"])
            logger.info(
                "going on after epoch %d of the interrupted run in %s", trainer.epoch, folder
            )
        elif self.weights:
            metadata = pretrained.load(self.weights, self.model)
            state["initial_weights"] = f"{self.weights}, sha256 {metadata['sha256']}"
            logger.info("fine-tuning %s into %s", self.weights, folder)
        else:
            logger.info("training into %s", folder)
        _make(folder)
        write_atomic(folder / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")

        def after_epoch(row: dict[str, Any]) -> None:
            save_state(folder, {**state, "trainer": trainer.state_dict()})
            _write_rows(folder / METRICS, trainer.history)
            tracker.log(row, row["epoch"])

        with Tracker(config, folder, state["tracking_id"]) as tracker:
            state["tracking_id"] = tracker.run_id
            try:
                trainer.fit(after_epoch)
            except KeyboardInterrupt:
                raise Interrupted(
                    "interrupted: the same command goes on from epoch "
                    f"{_epochs_kept(folder) + 1} of {config.epochs}"
                ) from None
            except NonFiniteLoss as stop:
                kept = _epochs_kept(folder)
                raise NonFiniteLoss(f"{stop}; epochs kept in {folder}: {kept}") from stop
            results = self._finish(trainer, folder, revision, state["initial_weights"])
            tracker.summarise(results)
        return results

    def _trainer(self) -> Trainer:
        config = self.config
        batches = self._batches("train", shuffle=True)
        optimiser = create_optimiser(
            config.optimizer,
            self.model.parameters(),
            lr=config.lr,
            momentum=config.optimizer_momentum,
            weight_decay=config.weight_decay,
            fused=not self.precision.scales_loss,
        )
        scheduler = create_scheduler(
            config.scheduler,
            optimiser,
            epochs=config.epochs,
            steps_per_epoch=len(batches),
            decay_steps=config.sched_decay_steps,
            decay_factor=config.sched_decay_factor,
        )
        return Trainer(
            self.model,
            optimiser,
            scheduler,
            self.precision,
            training=batches,
            validation=self._batches("validation"),
            epochs=config.epochs,
            label_smoothing=config.label_smoothing,
            clip_grad_norm=config.clip_grad_norm,
            ema_decay=config.ema_decay,
        )

    def _finish(
        self, trainer: Trainer, folder: Path, revision: str, initial_weights: str
    ) -> dict[str, Any]:
        """Read the test images, this once, with the best weights; write and report the figures."""
        best = trainer.best
        self.model.load_state_dict(best["weights"])
        score = evaluate(self.model, self._batches("test"), self.precision)
        results = {
            **_test_figures(score),
            "best_epoch": best["epoch"],
            "epochs": trainer.epoch,
            "selected_on": self.selected_on,
            "eval_protocol": self.config.eval_protocol,
            "validation_accuracy": trainer.history[best["epoch"] - 1]["validation_accuracy"],
            "parameters": self.parameters,
            "seconds": round(sum(row["seconds"] for row in trainer.history), 3),
            "skipped_steps": sum(row["skipped_steps"] for row in trainer.history),
        }
        _write_rows(folder / METRICS, [*trainer.history, results])
        curves.draw(folder / CURVES, folder.name, trainer.history, results)
        metadata = describe(
            self.config,
            results,
            revision=revision,
            info=self.splits.info,
            machine=self.machine,
            initial_weights=initial_weights,
        )
        models.save_weights(folder / WEIGHTS, self.model, metadata)
        (folder / STATE).unlink()  # the weights are there: from here on the run is finished
        print(
            f"test accuracy: {score}, with the weights of epoch {best['epoch']} of "
            f"{trainer.epoch}, the best on the {self.selected_on} images"
        )
        if self.config.smoke and not self.config.path:
            print("smoke run: nothing is kept")
        else:
            print(f"weights: {folder / WEIGHTS}; beside them {METRICS}, {CONFIG} and {CURVES}")
        return results

    def _batches(self, split: str, shuffle: bool = False) -> datasets.Loader:
        config = self.config
        return datasets.make_loader(
            getattr(self.splits, split),
            self.splits.info,
            config.batch_size,
            device=self.device,
            shuffle=shuffle,
            seed=config.seed,
            augment=config.augment and shuffle,
            num_workers=config.num_workers,
        )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _test_figures(score: Score) -> dict[str, Any]:
    return {
        "test_loss": score.loss,
        "test_accuracy": score.accuracy,
        "test_correct": score.correct,
        "test_images": score.images,
    }


def _epochs_kept(folder: Path) -> int:
    """How far the state on disk is: an interruption can come before or after it was written."""
    state = load_state(folder)
    return len(state["trainer"]["history"]) if state else 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"save_dir: cannot make {folder}: {error.strerror}") from error


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
