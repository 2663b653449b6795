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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from datasets import Loader
from training.errors import NonFiniteLoss
from training.evaluation import Score, evaluate
from training.precision import Precision
from training.seeding import random_state, set_random_state

logger = logging.getLogger(__name__)
LOOK_EVERY = 50  # steps between two looks at the losses: each look waits for the device
_BAR = "{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt}{postfix}"


class Trainer:
    """A run in progress: everything that changes while it trains, and the loop that changes it.

    Args:
        model: (B, C, H, W) to logits (B, classes), on its device.
        optimiser: of the model's parameters.
        scheduler: of the optimiser, stepped after every batch.
        precision: autocast and loss scaling.
        training: shuffled batches, on the model's device.
        validation: the batches that pick the best epoch.
        epochs: of the whole run.
        label_smoothing: share of each label spread over all classes, in [0, 1).
        clip_grad_norm: largest norm of the gradient of a step; 0 for any.
        ema_decay: decay of the moving average of the weights, which is then what is evaluated and
            kept; 0 for none.

    Attributes:
        history: one row per finished epoch, as in metrics.jsonl.
        best: epoch, correct, loss and weights of the best epoch so far: the one with the most
            validation images right, the lower loss among equals; empty before the first.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: Optimizer,
        scheduler: LRScheduler,
        precision: Precision,
        *,
        training: Loader,
        validation: Loader,
        epochs: int,
        label_smoothing: float = 0.0,
        clip_grad_norm: float = 0.0,
        ema_decay: float = 0.0,
    ) -> None:
        self.model = model
        self.optimiser = optimiser
        self.scheduler = scheduler
        self.precision = precision
        self.training = training
        self.validation = validation
        self.epochs = epochs
        self.label_smoothing = label_smoothing
        self.clip_grad_norm = clip_grad_norm
        self.average: AveragedModel | None = None
        if ema_decay:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        """Number of epochs finished."""
        return len(self.history)

    @property
    def evaluated(self) -> nn.Module:
        """The network whose weights are evaluated and kept: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on as if it had never stopped."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "precision": self.precision.state_dict(),
            "random": random_state(),
            "history": self.history,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.precision.load_state_dict(state["precision"])
        set_random_state(state["random"])
        self.history = state["history"]
        self.best = state["best"]

    def fit(self, after_epoch: Callable[[dict[str, Any]], None]) -> None:
        """Train the epochs that are left.

        Args:
            after_epoch: called with the new row of the history, every loss of it finite.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite; the message has the step and what to try.
        """
        pace = _Pace(self.epoch * len(self.training), self.epochs * len(self.training))
        while self.epoch < self.epochs:
            start, skipped = time.monotonic(), self.precision.skipped
            trained, lr = self._train_epoch(pace)
            validated = evaluate(self.evaluated, self.validation, self.precision)
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
                "seconds": round(time.monotonic() - start, 3),
                "skipped_steps": self.precision.skipped - skipped,
            }
            self.history.append(row)
            logger.info(self._summary(row, best, pace.left(self.epoch * len(self.training))))
            after_epoch(row)

    def _train_epoch(self, pace: "_Pace") -> tuple[Score, float]:
        """One pass over the training images: their score on the way, and the last learning rate."""
        self.model.train()
        self.training.set_epoch(self.epoch)
        steps = len(self.training)
        device = next(self.model.parameters()).device
        # Kept on the device and looked at now and then: a look at every step would stall a GPU.
        losses = torch.zeros(steps, device=device)
        correct = torch.zeros((), dtype=torch.int64, device=device)
        images, rates = 0, []
        bar = tqdm(
            desc=f"epoch {self.epoch + 1}/{self.epochs}",
            total=steps,
            bar_format=_BAR,
            leave=False,
            mininterval=0.1 if sys.stderr.isatty() else 5,  # a log file is no place for animation
        )
        with bar:
            for step, (x, y) in enumerate(self.training):
                rates.append(self.optimiser.param_groups[0]["lr"])
                loss, logits = self._step(x, y)
                losses[step] = loss
                correct += (logits.argmax(dim=1) == y).sum()
                images += len(y)
                if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps or device.type == "cpu":
                    self._refuse_non_finite(losses[: step + 1], rates)
                    left = pace.left(self.epoch * steps + step + 1)
                    bar.set_postfix_str(
                        f"loss {losses[: step + 1].mean():.4f}, accuracy {correct / images:.2%}, "
                        f"{left} left of the whole run",
                        refresh=False,
                    )
                bar.update()
        return Score(losses.mean().item(), int(correct), images), rates[-1]

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimiser and of the schedule: the loss before it, and the logits."""
        self.optimiser.zero_grad()
        with self.precision.autocast():
            logits = self.model(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=self.label_smoothing)
        self.precision.step(loss, self.optimiser, self.clip_grad_norm)
        self.scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach(), logits.detach()

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
        smaller = self.optimiser.defaults["lr"] / 10  # of the configured one: lr may be in warm-up
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

    def _summary(self, row: dict[str, Any], best: bool, left: str) -> str:
        skipped = row["skipped_steps"]
        return (
            f"epoch {row['epoch']}/{self.epochs}: "
            f"training loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}; "
            f"validation loss {row['validation_loss']:.4f}, "
            f"accuracy {row['validation_accuracy']:.2%}{' (best)' if best else ''}; "
            f"learning rate {row['lr']:.3g}; {row['seconds']:.1f} s, {left} left"
            + (f"; {skipped} steps left out: their scaled gradients overflowed" if skipped else "")
        )


class _Pace:
    """Time left of the whole run, from the steps and evaluations that this process has done."""

    def __init__(self, done: int, total: int) -> None:
        self._done, self._total, self._start = done, total, time.monotonic()

    def left(self, done: int) -> str:
        seconds = (time.monotonic() - self._start) / (done - self._done) * (self._total - done)
        return tqdm.format_interval(seconds)
