"""The learning rate over time, every schedule stepped once after each optimiser step."""

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

WARMUP_EPOCHS = 10


def create_scheduler(
    name: str,
    optimiser: Optimizer,
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
            cosine down to 0 (a run of 10 epochs or fewer is warm-up alone); `one_cycle`: torch's
            OneCycleLR with its defaults (momentum, or Adam's first beta, falls to 0.85 and returns
            to 0.95 while the learning rate rises and falls).
        optimiser: its learning rate is the constant, or the peak.
        epochs: of the whole run.
        steps_per_epoch: batches in an epoch.
        decay_steps: epochs, counted from 0, from which on multistep has divided once more.
        decay_factor: what multistep divides by.

    Returns:
        A torch scheduler, for one `step()` after each step of the optimiser.
    """
    total = epochs * steps_per_epoch
    warmup = int(WARMUP_EPOCHS / epochs * total)

    def constant(step: int) -> float:
        return 1.0

    def multistep(step: int) -> float:
        return decay_factor ** -sum(step // steps_per_epoch >= epoch for epoch in decay_steps)

    def linear_warmup_cosine(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    if name == "one_cycle":
        return OneCycleLR(optimiser, max_lr=optimiser.param_groups[0]["lr"], total_steps=total)
    factors = {
        "constant": constant,
        "multistep": multistep,
        "linear_warmup_cosine": linear_warmup_cosine,
    }
    return LambdaLR(optimiser, factors[name])
