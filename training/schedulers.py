"""The learning rate over time, every schedule stepped once after each optimizer step."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

WARMUP_EPOCHS = 10


@dataclass(frozen=True)
class _Plan:
    epochs: int
    steps_per_epoch: int
    decay_steps: Sequence[int]
    decay_factor: float

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


def create_scheduler(
    name: str,
    optimizer: Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    decay_steps: Sequence[int] = (),
    decay_factor: float = 1.0,
) -> LRScheduler:
    """The schedule that a configuration names.

    Args:
        name: `constant`; `multistep`: divided by decay_factor at each epoch of decay_steps;
            `linear_warmup_cosine`: from 0 to the learning rate in the first 10 epochs, then half a
            cosine down to 0 (a run of 10 epochs or fewer is warm-up only); `one_cycle`: torch's
            OneCycleLR with its defaults (momentum, or Adam's first beta, falls to 0.85 and returns
            to 0.95 while the learning rate rises and falls).
        optimizer: its learning rate is the constant, or the peak.
        epochs: of the whole run.
        steps_per_epoch: batches in an epoch.
        decay_steps: epochs, counted from 0, from which on multistep has divided once more.
        decay_factor: what multistep divides by.

    Returns:
        A torch scheduler, for one `step()` after each step of the optimizer.
    """
    return SCHEDULERS[name](optimizer, _Plan(epochs, steps_per_epoch, decay_steps, decay_factor))


EXTENDABLE = ("constant", "multistep")  # what they give does not depend on the number of epochs


def _scaled(factor: Callable[[_Plan, int], float]) -> Callable[[Optimizer, _Plan], LRScheduler]:
    return lambda optimizer, plan: LambdaLR(optimizer, lambda step: factor(plan, step))


def _multistep(plan: _Plan, step: int) -> float:
    epoch = step // plan.steps_per_epoch
    return plan.decay_factor ** -sum(epoch >= decay for decay in plan.decay_steps)


def _linear_warmup_cosine(plan: _Plan, step: int) -> float:
    warmup = int(WARMUP_EPOCHS / plan.epochs * plan.total)
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, plan.total - warmup)))


def _one_cycle(optimizer: Optimizer, plan: _Plan) -> LRScheduler:
    return OneCycleLR(optimizer, max_lr=optimizer.param_groups[0]["lr"], total_steps=plan.total)


SCHEDULERS: dict[str, Callable[[Optimizer, _Plan], LRScheduler]] = {
    "constant": _scaled(lambda plan, step: 1.0),
    "multistep": _scaled(_multistep),
    "linear_warmup_cosine": _scaled(_linear_warmup_cosine),
    "one_cycle": _one_cycle,
}
