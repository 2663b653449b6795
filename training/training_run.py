"""A training in its run folder: begun or resumed, kept epoch by epoch, tested once at its end."""

import json
import logging
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from g_selfatt import models
from g_selfatt.datasets import DataError
from g_selfatt.datasets.errors import one_line
from training import distributed, pretrained, transfer
from training.checkpointing import close_states, load_state, save_state
from training.errors import Interrupted, NonFiniteLoss, Terminated, Termination, UserError
from training.evaluation import Score
from training.experiment import Experiment
from training.figures import figures, say, summary, test, write_pictures, write_rows
from training.optimizers import create_optimizer
from training.provenance import describe, git_revision
from training.run_folder import CONFIG, METRICS, WEIGHTS, identity, printable, write_atomic
from training.schedulers import EXTENDABLE, create_scheduler
from training.tracking import Tracker
from training.trainer import Trainer

logger = logging.getLogger(__name__)


class TrainingRun:
    """Training in a run folder that this process, or process 0 of several, holds."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment = experiment
        self.config = experiment.config
        self.folder = folder
        self.trainer = self._create_trainer()
        info = experiment.splits.info
        self.state: dict[str, Any] = {
            "run": identity(self.config),
            "tracking_id": None,
            "initial_weights": "",
            "data": info.fingerprint or info.provenance,
            "revision": git_revision(),
        }

    def run(self) -> dict[str, Any]:
        """Train the epochs that are left and test once; returns the figures of the run.

        Raises:
            ExpectedStop, DataError: what ended it, in one line.
        """
        self._begin()
        config, folder, trainer = self.config, self.folder, self.trainer
        untracked = {"wandb": "disabled", "tensorboard": False}
        tracked = ConfigDict({**config, **untracked}) if distributed.rank() > 0 else config
        with Tracker(tracked, folder, self.state["tracking_id"]) as tracker:
            self.state["tracking_id"] = tracker.run_id

            def after_epoch(row: dict[str, Any]) -> None:
                self._save()
                distributed.on_first(lambda: write_rows(folder / METRICS, trainer.history))
                tracker.log(row, row["epoch"])

            try:
                trainer.fit(after_epoch, self._save, 60 * config.checkpoint_minutes)
            except KeyboardInterrupt as stop:
                kind = Terminated if isinstance(stop, Termination) else Interrupted
                word = "terminated" if kind is Terminated else "interrupted"
                raise kind(f"{word}: the same command goes on from {self._where()}") from None
            except NonFiniteLoss as stop:
                epochs = self._kept()[0]
                raise NonFiniteLoss(f"{stop}; epochs kept in {folder}: {epochs}") from stop
            except DataError as stop:
                raise DataError(f"{stop}; the same command goes on from {self._where()}") from stop
            results = self._finish()
            tracker.summarize(results)
        return results

    def _begin(self) -> None:
        """Where the network's numbers come from, the first that there is:

        1. the state of this very run, where it was interrupted;
        2. trained weights, of this network or of one for other classes;
        3. its creation, which drew them from the seed.
        """
        config, folder, weights = self.config, self.folder, self.experiment.weights
        kept = distributed.on_first(lambda: load_state(folder, self.state["run"]))
        if kept:
            self._refuse_other_images(kept)
            revision = self.state["revision"]
            self.state |= {key: kept[key] for key in self.state if key in kept}
            if not self.state["revision"].endswith(revision):
                then = self.state["revision"]
                logger.warning("the code was %s, and is %s now", then, revision)
                self.state["revision"] = f"{then}, {revision}"
            self._refuse_other_weights()
            self._resume(kept["trainer"])
            step, epoch = self.trainer.progress.step, self.trainer.epoch
            after = f"step {step} of epoch {epoch + 1}" if step else f"epoch {epoch}"
            logger.info("going on after %s of the interrupted run in %s", after, folder)
        elif weights:
            if config.weights:
                transfer.start(weights, self.experiment.model)
            else:
                pretrained.load(weights, self.experiment.model)
            digest = models.read_metadata(weights)["sha256"]
            self.state["initial_weights"] = printable(f"{weights}, sha256 {digest}")
            logger.info("fine-tuning %s into %s", weights, folder)
        else:
            logger.info("training into %s", folder)
        text = json.dumps(config.to_dict(), indent=2) + "\n"
        distributed.on_first(lambda: write_atomic(folder / CONFIG, text))

    def _refuse_other_images(self, kept: dict[str, Any]) -> None:
        """The images of a folder can have changed meanwhile, and with them the split."""
        here = self.state["data"]
        if (then := kept.get("data", here)) != here:  # states of older versions have no such entry
            raise UserError(
                f"{self.folder} was started on other images ({then}) than there are now ({here}); "
                "put them back, or delete its state files to start the run again"
            )

    def _refuse_other_weights(self) -> None:
        """The weights that a run started from can have been trained again meanwhile."""
        weights, then = self.experiment.weights, self.state["initial_weights"]
        if weights and not then.endswith(models.read_metadata(weights)["sha256"]):
            raise UserError(
                f"{self.folder} was started from other weights ({then}) than {weights} has now; "
                "delete its state files to start the run again"
            )

    def _resume(self, state: dict[str, Any]) -> None:
        try:
            self.trainer.load_state_dict(state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            misfit = one_line(error)[:200]
            raise UserError(
                f"the state in {self.folder} does not fit this version of the program ({misfit}); "
                "delete its state files to start the run again"
            ) from error

    def _save(self) -> None:
        state = {**self.state, "trainer": self.trainer.state_dict()}
        distributed.on_first(lambda: save_state(self.folder, state))

    def _kept(self) -> tuple[int, int]:
        """How far the state on disk is: epochs, and steps of the next one."""
        kept = distributed.on_first(lambda: load_state(self.folder, self.state["run"]))
        if not kept:
            return 0, 0
        return len(kept["trainer"]["history"]), len(kept["trainer"]["progress"]["rates"])

    def _where(self) -> str:
        epochs, steps = self._kept()
        if epochs == self.config.epochs:
            return "the test images"
        step = f"step {steps + 1} of " if steps else ""
        return f"{step}epoch {epochs + 1} of {self.config.epochs}"

    def _create_trainer(self) -> Trainer:
        config, experiment = self.config, self.experiment
        batches = experiment.batches("train", shuffle=True)
        part = experiment.model
        if config.freeze == "backbone":
            part = transfer.freeze_backbone(part)
        optimizer = create_optimizer(
            config.optimizer,
            part.parameters(),
            lr=config.lr,
            momentum=config.optimizer_momentum,
            weight_decay=config.weight_decay,
            fused=not experiment.precision.scales_loss,
        )
        scheduler = create_scheduler(
            config.scheduler,
            optimizer,
            epochs=config.epochs,
            steps_per_epoch=len(batches),
            decay_steps=config.sched_decay_steps,
            decay_factor=config.sched_decay_factor,
        )
        return Trainer(
            experiment.model,
            optimizer,
            scheduler,
            experiment.precision,
            training=batches,
            validation=experiment.batches("validation"),
            epochs=config.epochs,
            label_smoothing=config.label_smoothing,
            clip_grad_norm=config.clip_grad_norm,
            ema_decay=config.ema_decay,
            part=part,
        )

    def _finish(self) -> dict[str, Any]:
        """Read the test images, this once, with the best weights; write and report the figures."""
        experiment, trainer = self.experiment, self.trainer
        best = trainer.best
        experiment.model.load_state_dict(best["weights"])
        score, classes = test(experiment), experiment.splits.info.class_names
        results = {
            **figures(score, classes),
            "best_epoch": best["epoch"],
            "epochs": trainer.epoch,
            "selected_on": experiment.selected_on,
            "validation_accuracy": trainer.history[best["epoch"] - 1]["validation_accuracy"],
            "parameters": experiment.parameters,
            "seconds": round(sum(row["seconds"] for row in trainer.history), 3),
            "skipped_steps": sum(row["skipped_steps"] for row in trainer.history),
        }
        distributed.on_first(lambda: self._write(results, score))
        kept = None if self.config.smoke else self.folder
        say(summary(experiment, results, score, kept))
        return results

    def _write(self, results: dict[str, Any], score: Score) -> None:
        folder, history = self.folder, self.trainer.history
        write_rows(folder / METRICS, [*history, results])
        classes = self.experiment.splits.info.class_names
        write_pictures(folder, history, results, score.confusion, classes)
        metadata = describe(
            self.config,
            results,
            revision=self.state["revision"],
            data=self.experiment.splits.info.provenance,
            machine=self.experiment.machine,
            initial_weights=self.state["initial_weights"],
        )
        models.save_weights(folder / WEIGHTS, self.experiment.model, metadata)
        # the weights are there: from here on the run is finished
        close_states(folder, keep=self.config.scheduler in EXTENDABLE)
