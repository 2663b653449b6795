"""The steps that are measured: of a whole network in training, and of one attention layer."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets import INFO
from g_selfatt import groups
from g_selfatt.nn import GroupLocalSelfAttention
from models import create_model


class Step(Protocol):
    """A step in two parts, so that the first can be timed alone."""

    def forward(self) -> Tensor:
        """Forget the gradients of the last step and compute what ``finish`` takes."""

    def finish(self, output: Tensor) -> None:
        """The rest of the step."""


class Buildable(Protocol):
    """What can be sent to a process of its own and become a step there."""

    def build(self, backend: str, device: str) -> Step:
        """The step, with the attention of a backend, on ``"cpu"`` or ``"cuda"``."""


def run(step: Step) -> None:
    """One whole step."""
    step.finish(step.forward())


class NetworkStep:
    """One training step: zero_grad, forward, cross entropy; backward, Adam. In float32.

    Args:
        model, dataset, attention_type: as in `models.create_model`; dropout as in the preset.
        batch: number of images; they are noise of the preset's size.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        *,
        attention_type: str,
        batch: int,
        backend: str,
        device: str,
    ) -> None:
        torch.manual_seed(0)
        network = create_model(model, dataset, attention_type=attention_type, backend=backend)
        self.network = network.to(device).train()
        info = INFO[dataset]
        shape = (batch, info.in_channels, info.image_size, info.image_size)
        self.images = torch.randn(shape).to(device)
        self.labels = torch.randint(info.num_classes, (batch,)).to(device)
        # Small: scores that are not finite, after many steps on noise, have times of their own.
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-5, fused=True)

    def forward(self) -> Tensor:
        """The loss, ``()``."""
        self.optimiser.zero_grad()
        return F.cross_entropy(self.network(self.images), self.labels)

    def finish(self, output: Tensor) -> None:
        """Backward from the loss, and the optimiser's step."""
        output.backward()
        self.optimiser.step()


class LayerStep:
    """Forward and backward of one group layer as in PCam's preset, batch 1, in float32.

    12 channels in and out, 9 heads of 6 channels, window 5×5, attention dropout 0.1.

    Args:
        group: its name.
        side: of the image, in pixels.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, group: str, side: int, *, backend: str, device: str) -> None:
        torch.manual_seed(0)
        acting = groups.get(group)
        layer = GroupLocalSelfAttention(acting, 12, 6, 12, 9, 5, 0.1, backend=backend)
        self.layer = layer.to(device).train()
        # As inside a network, whose earlier layers want the gradient too.
        shape = (1, 12, acting.num_elements, side, side)
        self.features = torch.randn(shape).to(device).requires_grad_()
        self.d_output = torch.randn(shape).to(device)

    def forward(self) -> Tensor:
        """The features that the layer returns, ``(1, 12, |H|, side, side)``."""
        self.layer.zero_grad()
        self.features.grad = None
        return self.layer(self.features)

    def finish(self, output: Tensor) -> None:
        """Backward."""
        output.backward(self.d_output)
