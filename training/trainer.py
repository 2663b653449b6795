"""The loop: epochs of steps, the validation images after each, the best weights kept aside."""

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from g_selfatt.datasets import DataError, Loader
from training import distributed
from training.errors import NonFiniteLoss
from training.evaluation import Score, evaluate
from training.moving_average import moving_average
from training.precision import Precision
from training.progress import Pace, Progress, summary
from training.seeding import random_state, set_random_state
from training.stopping import Signals, stop_of

logger = logging.getLogger(__name__)
# What `_between` is asked for: a signal's number, or one of these; the largest of all processes.
_GO_ON, _SAVE, _FAILED = 0, 1, 1000
LOOK_EVERY = 50  # steps between two looks at the losses: each look waits for the device
_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"


class Trainer:
    """A run in progress: everything that changes while it trains, and the loop that changes it.

    Args:
        model: (B, C, H, W) to logits (B, classes), on its device.
        optimizer: of the model's parameters.
        scheduler: of the optimizer, stepped after every batch.
        precision: autocast and loss scaling.
        training: shuffled batches, on the model's device.
        validation: the batches that pick the best epoch.
        epochs: of the whole run.
        label_smoothing: share of each label spread over all classes, in [0, 1).
        clip_grad_norm: largest norm of the gradient of a step; 0 for any.
        ema_decay: decay of the moving average of the weights, and of the statistics of BatchNorm,
            which is then what is evaluated and kept; 0 for none.
        part: the part of the model that is trained, the rest of it as in evaluation; None for all.

    Attributes:
        progress: of the epoch under way.
        history: one row per finished epoch, as in metrics.jsonl.
        best: epoch, correct, loss and weights of the best epoch so far: the one with the most
            validation images right, the lower loss among equals; empty before the first.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        precision: Precision,
        *,
        training: Loader,
        validation: Loader,
        epochs: int,
        label_smoothing: float = 0.0,
        clip_grad_norm: float = 0.0,
        ema_decay: float = 0.0,
        part: nn.Module | None = None,
    ) -> None:
        self.model = model
        self.part = part or model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.precision = precision
        self.training = training
        self.validation = validation
        self.epochs = epochs
        self.label_smoothing = label_smoothing
        self.clip_grad_norm = clip_grad_norm
        self.average: AveragedModel | None = None
        if ema_decay:
            self.average = moving_average(model, ema_decay)
        self.replica = distributed.replicate(model)
        self.progress = self._new_epoch()
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}
        self._signals = Signals(patient=distributed.size() > 1)
        self._unsaved = False

    @property
    def epoch(self) -> int:
        """Number of epochs finished."""
        return len(self.history)

    @property
    def evaluated(self) -> nn.Module:
        """The network whose weights are evaluated and kept: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on as if it had never stopped; every process calls this."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "precision": self.precision.state_dict(),
            "random": distributed.gather(random_state()),
            "progress": self.progress.state_dict(),
            "history": self.history,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        if len(state["history"]) > self.epochs:
            raise ValueError(f"{len(state['history'])} epochs done of {self.epochs}")
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.precision.load_state_dict(state["precision"])
        if distributed.rank() < len(state["random"]):
            set_random_state(state["random"][distributed.rank()])
        self.progress.load_state_dict(state["progress"])
        self.history = state["history"]
        self.best = state["best"]

    def fit(
        self,
        after_epoch: Callable[[dict[str, Any]], None],
        save: Callable[[], None] = lambda: None,
        save_every: float = math.inf,
    ) -> None:
        """Train the epochs that are left.

        Args:
            after_epoch: called with the new row of the history, every loss of it finite; it keeps
                the state.
            save: keeps the state between two steps.
            save_every: seconds between two calls of `save`.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite; the message has the step and what to try.
            KeyboardInterrupt: SIGINT, or as `Termination` SIGTERM, came; the state has been saved.
            DataError: an image cannot be read; the state has been saved.
        """
        steps = len(self.training)
        self._save, self._save_every, self._saved_at = save, save_every, time.monotonic()
        pace = Pace(self.epochs * steps)
        with self._signals:
            while self.epoch < self.epochs:
                self._train_epoch(pace)
                trained, lr = self.progress.score, self.progress.rates[-1]
                validation = distributed.in_step(self.validation, self._between)
                validated = evaluate(
                    self.evaluated,
                    validation,
                    self.precision,
                    title=f"epoch {self.epoch + 1}/{self.epochs}, validation",
                    images=len(self.validation.split),
                )
                if not math.isfinite(validated.loss):
                    raise self._non_finite(
                        f"the validation loss is {validated.loss} after epoch {self.epoch + 1}", lr
                    )
                best = self._keep_if_best(validated)
                row = {
                    "epoch": self.epoch + 1,
                    "train_loss": trained.loss,
                    "train_accuracy": trained.accuracy,
                    "validation_loss": validated.loss,
                    "validation_accuracy": validated.accuracy,
                    "lr": lr,
                    "seconds": round(self.progress.elapsed(), 3),
                    "skipped_steps": self.progress.skipped,
                }
                self.history.append(row)
                self.progress = self._new_epoch()
                logger.info(summary(row, self.epochs, best, pace.left(self.epoch * steps)))
                after_epoch(row)
                self._unsaved, self._saved_at = False, time.monotonic()
            self._between(None)

    def _new_epoch(self) -> Progress:
        device = next(self.model.parameters()).device
        return Progress(len(self.training), self.training.images_per_batch, device)

    def _train_epoch(self, pace: Pace) -> None:
        """The steps that are left of an epoch."""
        self.model.eval()
        self.part.train()
        progress = self.progress
        self.training.set_epoch(self.epoch, progress.step)
        steps = len(self.training)
        alone_on_cpu = distributed.size() == 1 and next(self.model.parameters()).is_cpu
        bar = tqdm(
            desc=f"epoch {self.epoch + 1}/{self.epochs}",
            total=steps,
            initial=progress.step,
            bar_format=_BAR,
            dynamic_ncols=True,
            leave=False,
            mininterval=0.1 if sys.stderr.isatty() else 5,  # a log file is no place for animation
            disable=distributed.rank() > 0,
        )
        with bar:
            for x, y in distributed.in_step(self.training, self._between):
                self._unsaved = True
                lr, skipped = self.optimizer.param_groups[0]["lr"], self.precision.skipped
                loss, logits = self._step(x, y)
                progress.add(loss, (logits.argmax(dim=1) == y).sum(), lr)
                progress.skipped += self.precision.skipped - skipped
                if alone_on_cpu or progress.step % LOOK_EVERY == 0 or progress.step == steps:
                    self._look()
                    score, left = progress.score, pace.left(self.epoch * steps + progress.step)
                    bar.set_postfix_str(
                        f"loss {score.loss:.4f}, accuracy {score.accuracy:.2%}, {left} left",
                        refresh=False,
                    )
                bar.update()

    def _between(self, failure: DataError | None) -> None:
        """Between two batches: save or stop, where the clock, a signal or a failure asks for it."""
        due = time.monotonic() - self._saved_at >= self._save_every
        asked = _FAILED if failure else _SAVE if due else _GO_ON
        request = self._signals.received or asked  # a signal can be what killed a reader
        request = distributed.agree(request)
        if request == _GO_ON:
            return
        if self._unsaved:
            self._look()
            self._refuse_non_finite_weights()
            self._save()
        self._unsaved, self._saved_at = False, time.monotonic()
        if request == _FAILED:
            distributed.raise_for_all(failure)
        if request != _SAVE:
            raise stop_of(request)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimizer and of the schedule: the loss before it, and the logits."""
        self.optimizer.zero_grad()
        with self.precision.autocast():
            logits = self.replica(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=self.label_smoothing)
        # The gradients of the processes are averaged: right as it is where their shares are equal.
        loss = loss * (len(y) * distributed.size() / self.training.images_per_batch)
        self.precision.step(loss, self.optimizer, self.clip_grad_norm)
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach(), logits.detach()

    def _look(self) -> None:
        self.progress.look()
        self._refuse_non_finite(self.progress.losses, self.progress.rates)

    def _refuse_non_finite_weights(self) -> None:
        """A loss shows it one step later: too late for a state that is to be gone on from."""
        if not all(torch.isfinite(weight).all() for weight in self.model.state_dict().values()):
            raise self._non_finite(
                f"a weight is not finite after step {self.progress.step} of epoch {self.epoch + 1}",
                self.progress.rates[-1],
            )

    def _refuse_non_finite(self, losses: Tensor, rates: list[float]) -> None:
        finite = torch.isfinite(losses)
        if not finite.all():
            step = int(finite.int().argmin())
            raise self._non_finite(
                f"the loss is {losses[step].item()} at step {step + 1} of epoch {self.epoch + 1} "
                f"(step {self.epoch * len(self.training) + step + 1} of the run)",
                rates[step],
            )

    def _non_finite(self, what: str, lr: float) -> NonFiniteLoss:
        amp = "" if self.precision.amp == "off" else ", or --config.amp=off"
        smaller = self.optimizer.defaults["lr"] / 10  # of the configured one: lr may be in warm-up
        return NonFiniteLoss(f"{what}, learning rate {lr:.3g}; try --config.lr={smaller:.3g}{amp}")

    def _keep_if_best(self, score: Score) -> bool:
        """Keep the weights where no epoch before had as many right, or as many at a lower loss."""
        best = self.best
        if best and (score.correct, -score.loss) <= (best["correct"], -best["loss"]):
            return False
        weights = self.evaluated.state_dict()
        weights = {k: v.detach().to("cpu", copy=True) for k, v in weights.items()}
        self.best = {
            "epoch": self.epoch + 1,
            "correct": score.correct,
            "loss": score.loss,
            "weights": weights,
        }
        return True
