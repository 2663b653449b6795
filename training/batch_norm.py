"""BatchNorm whose statistics are those of the whole batch, which several processes share.

On CUDA this is torch's SyncBatchNorm, which refuses tensors on the CPU; for those it is below.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training import distributed


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """Make each BatchNorm of a network see the images of all processes.

    Args:
        model: to be changed; the names of its weights stay.
        device: where it is.

    Returns:
        The network.
    """
    if distributed.size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = CPUSyncBatchNorm  # what differs is how it computes
    return model


class CPUSyncBatchNorm(_BatchNorm):
    """nn.BatchNormNd over the batches of all processes, on the CPU: one message each way.

    Shape: ``(B, C, ...)`` → the same.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``(B, C, ...)`` → the same; in eval mode without a word to the other processes."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        dims = [0, *range(2, x.ndim)]
        shape = (1, -1, *[1] * (x.ndim - 2))
        count = x.numel() // x.shape[1]  # 0 where this process has no image of the batch
        mean = x.sum(dims) / max(count, 1)
        squares = (x - mean.view(shape)).square().sum(dims)  # about its own mean: no cancelling
        mine = torch.stack([torch.full_like(mean, count), mean, squares])
        counts, means, squares = _Stack.apply(mine).unbind(1)  # each (processes, C)
        total = counts.sum(0)
        mean = (counts * means).sum(0) / total
        variance = (squares + counts * (means - mean).square()).sum(0) / total
        self._track(mean.detach(), (variance * total / (total - 1)).detach())
        y = (x - mean.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes after the channels."""

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        part = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)


class _Stack(torch.autograd.Function):
    """The values of all processes; the gradient of each is the sum of those that all have of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """``(...)`` of this process → ``(processes, ...)`` of all."""
        return distributed.stack(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient ``(processes, ...)`` of the output → ``(...)`` of the input."""
        return distributed.total(gradient)[distributed.rank()]
