"""How good a network is on the images of a loader."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.precision import Precision


@dataclass(frozen=True)
class Score:
    """What an evaluation gives.

    Attributes:
        loss: mean cross-entropy in nats.
        correct: images whose highest logit is their label's.
        images: images seen.
    """

    loss: float
    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are right."""
        return self.correct / self.images

    def __str__(self) -> str:
        return f"{self.accuracy:.2%} ({self.correct} of {self.images} images)"


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], precision: Precision
) -> Score:
    """Run a network over every batch, in eval mode, and put its mode back.

    Args:
        model: (B, C, H, W) to logits (B, classes).
        batches: pairs of images and labels, on the model's device.
        precision: the precision the network is trained in.

    Returns:
        The score over all images, each counted once.
    """
    was_training = model.training
    model.eval()
    loss, correct, images = (
        torch.zeros((), dtype=torch.float64),
        torch.zeros((), dtype=torch.int64),
        0,
    )
    for x, y in batches:
        with precision.autocast():
            logits = model(x)
        logits = logits.float()
        # sums stay on the device: nothing waits for the batch
        loss = loss.to(x.device) + F.cross_entropy(logits, y, reduction="sum")
        correct = correct.to(x.device) + (logits.argmax(dim=1) == y).sum()
        images += len(y)
    model.train(was_training)
    return Score(loss.item() / images, int(correct), images)
