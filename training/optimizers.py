"""The optimizers by name."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "SGD": torch.optim.SGD,
}


def create_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    fused: bool = True,
) -> Optimizer:
    """The optimizer that a configuration names.

    Args:
        name: one of `OPTIMIZERS`.
        parameters: what it changes.
        lr: learning rate, which a scheduler then scales.
        momentum: of SGD; the others have their own (0.9, 0.999).
        weight_decay: an L2 term of the loss for Adam and SGD, as in the paper; decoupled for AdamW.
        fused: all parameters in one pass, several times faster where they are many and small. Not
            together with loss scaling: a fused optimizer leaves out a step that overflows without
            telling, and the count of such steps would be lost.

    Returns:
        The optimizer.
    """
    options = {"lr": lr, "weight_decay": weight_decay, "fused": fused}
    if name == "SGD":
        options["momentum"] = momentum
    return OPTIMIZERS[name](parameters, **options)
