"""The moving average of a network's weights, which often is better than where training stands."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential average of weights and of the statistics of BatchNorm, which belong to them.

    Args:
        model: the network that is trained.
        decay: share of the average that stays at each step, in (0, 1).
    """
    average = get_ema_multi_avg_fn(decay)

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            average(averaged, current, count)
        else:  # indices, and the steps that BatchNorm has seen: an average would be rounded
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
