"""Z2CNN, the convolutional baseline of rotMNIST (Cohen & Welling, 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from g_selfatt.datasets import DatasetInfo
from g_selfatt.functional.tracing import is_traced
from g_selfatt.models.classifier import checked_classes, forget_classes
from g_selfatt.models.hub import HubModule
from g_selfatt.models.registry import register_model
from g_selfatt.models.stages import sides_of
from g_selfatt.nn import set_grad_checkpointing
from g_selfatt.nn.checks import check_rates

CHANNELS = 20
LAYERS_WITH_DROPOUT = (1, 3, 4, 5, 6)
LAYER_WITH_POOLING = 2
SIDE = 4  # of the last map


def _only_28(info: DatasetInfo) -> Mapping[str, Any]:
    height, width = sides_of(info.image_size)
    if "image_size" not in info.unknown and (height, width, info.in_channels) != (28, 28, 1):
        raise ValueError(
            f"z2cnn is made for 28×28 grey images, those of {info.name} are {height}×{width} with "
            f"{info.in_channels} channels"
        )
    return {}


@register_model({"z2cnn": "z2"}, arguments=_only_28)
class CNN(HubModule):
    """Six 3×3 convolutions of 20 channels with BatchNorm and ReLU, and a 4×4 one to the classes.

    Shape: ``(B, 1, 28, 28)`` → logits ``(B, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: number of classes; 0 for none, so that the network gives its features.
        dropout_rate: after layers 1, 3, 4, 5 and 6, in [0, 1).

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self, in_channels: int = 1, num_classes: int = 10, dropout_rate: float = 0.3
    ) -> None:
        super().__init__()
        check_rates(dropout_rate=dropout_rate)
        self.layers = nn.Sequential()
        channels = in_channels
        for layer in range(1, 7):
            self.layers.append(nn.Conv2d(channels, CHANNELS, kernel_size=3, bias=False))
            self.layers.append(nn.BatchNorm2d(CHANNELS, eps=2e-5))
            self.layers.append(nn.ReLU())
            if layer in LAYERS_WITH_DROPOUT:
                self.layers.append(nn.Dropout(dropout_rate))
            if layer == LAYER_WITH_POOLING:
                self.layers.append(nn.MaxPool2d(2))
            channels = CHANNELS
        self.num_features = channels * SIDE**2
        self.layers.append(nn.Identity())
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.layers[-1]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one.

        Args:
            num_classes: number of classes; 0 for none, so that the network gives its features.
        """
        self.num_classes = num_classes = checked_classes(num_classes)
        classifier: nn.Module = nn.Identity()
        if num_classes:
            classifier = nn.Conv2d(CHANNELS, num_classes, kernel_size=SIDE, bias=False)
        self.layers[-1] = classifier.to(next(self.parameters())).train(self.training)
        forget_classes(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Refuse to checkpoint: there are no blocks.

        Raises:
            ValueError: enable.
        """
        set_grad_checkpointing(self, enable)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, 28, 28)`` → maps ``(B, 20, 4, 4)``."""
        return self.layers[:-1](x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps of `forward_features` → logits ``(B, num_classes)``.

        Args:
            x: the maps.
            pre_logits: leave out the classifier: ``(B, num_features)``.
        """
        return (x if pre_logits else self.layers[-1](x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, 28, 28)`` → logits ``(B, num_classes)``.

        Raises:
            ValueError: images of another size.
        """
        if not is_traced(x) and x.shape[-2:] != (28, 28):
            raise ValueError(f"CNN takes images (B, C, 28, 28), got {tuple(x.shape)}")
        return self.layers(x).flatten(1)
