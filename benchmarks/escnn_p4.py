"""A p4 group CNN of escnn on rotDigits, by the recipe of p4convnet.

A recipe with a network of its own, for the environment that `python -m benchmarks.peers` makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from g_selfatt.models import register_model
from runs.rotdigits_p4convnet import get_config as base

CHANNELS = (8, 12, 12)  # regular fields, so that it has the parameters of p4convnet


def get_config() -> Any:
    """The configuration."""
    config = base()
    config.model = "escnn_p4"
    return config


@register_model({"escnn_p4": "p4"})
class EscnnP4(nn.Module):
    """Four steerable convolutions with norm and ReLU, two poolings, and an invariant classifier.

    Shape: ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: number of classes.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        from escnn import gspaces
        from escnn import nn as enn

        space = gspaces.rot2dOnR2(4)
        self.images = enn.FieldType(space, in_channels * [space.trivial_repr])
        fields = [enn.FieldType(space, count * [space.regular_repr]) for count in CHANNELS]

        def convolution(inside: Any, outside: Any, side: int) -> Iterator[nn.Module]:
            yield enn.R2Conv(inside, outside, side, padding=side // 2, bias=False)
            yield enn.InnerBatchNorm(outside)
            yield enn.ReLU(outside)

        self.features = enn.SequentialModule(
            *convolution(self.images, fields[0], 7),
            enn.PointwiseMaxPool2D(fields[0], 2, 2),
            *convolution(fields[0], fields[1], 3),
            *convolution(fields[1], fields[1], 3),
            enn.PointwiseMaxPool2D(fields[1], 2, 2),
            *convolution(fields[1], fields[2], 3),
        )
        self.classifier = nn.Linear(CHANNELS[-1], num_classes)
        self.train()

    def train(self, mode: bool = True) -> EscnnP4:
        """Set the mode; that of the convolutions is always training.

        In eval mode, and before the first call, escnn keeps expanded filters in the state dict.
        """
        super().train(mode)
        for module in self.modules():
            if hasattr(module, "expand_parameters"):
                module.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``."""
        from escnn import nn as enn

        fields = self.features(enn.GeometricTensor(x, self.images)).tensor
        maps = fields.unflatten(1, (CHANNELS[-1], -1)).amax(dim=2)
        return self.classifier(maps.mean(dim=(-2, -1)))
