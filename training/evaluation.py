"""How good a network is on the images of a loader."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from g_selfatt.nn.modes import evaluating
from training import distributed
from training.precision import Precision

OF_TEST = ("test_loss", "test_correct", "test_images")  # in the results of a run
# In a batch, of which nothing is kept for a backward pass: more is not faster.
PIXELS = {"cpu": 32 * 28**2, "cuda": 64 * 32**2}
_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} images, {remaining} left"


@dataclass(frozen=True)
class Score:
    """What an evaluation gives.

    Attributes:
        loss: mean cross-entropy in nats.
        correct: images whose highest logit is their label's.
        images: images seen.
        confusion: images by class and answer ``(K, K)``; None where they were not counted.
    """

    loss: float
    correct: int
    images: int
    confusion: Tensor | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Score:
        """The score on the test images that a finished run has kept."""
        return cls(*(results[name] for name in OF_TEST))

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are right."""
        return self.correct / self.images

    def __str__(self) -> str:
        return f"{self.accuracy:.2%} ({self.correct} of {self.images} images)"


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: Precision,
    *,
    title: str = "",
    images: int | None = None,
    classes: int = 0,
) -> Score:
    """Run a network over every batch, in eval mode; the mode of each submodule is restored.

    Args:
        model: (B, C, H, W) to logits (B, classes).
        batches: pairs of images and labels, on the model's device; the share of this process.
        precision: the precision the network is trained in.
        title: what is evaluated, for a progress bar; empty for none.
        images: their number, for the bar.
        classes: number K of classes, to count the answers for each; 0 not to.

    Returns:
        The score over all images of all processes, each counted once.
    """
    sums = torch.zeros(3, dtype=torch.float64)  # loss, images right, images
    confusion = torch.zeros(classes**2, dtype=torch.int64)
    bar = tqdm(
        desc=title,
        total=images,
        bar_format=_BAR,
        dynamic_ncols=True,
        leave=False,
        mininterval=0.1 if sys.stderr.isatty() else 5,  # a log file is no place for animation
        disable=not title or distributed.rank() > 0,
    )
    with bar, evaluating(model):
        for x, y in batches:
            sums, confusion = sums.to(x.device), confusion.to(x.device)
            if not len(y):  # another process has all images of this batch
                continue
            with precision.autocast():
                logits = model(x)
            logits = logits.float()
            # sums stay on the device: nothing waits for the batch
            sums[0] += F.cross_entropy(logits, y, reduction="sum")
            answers = logits.argmax(dim=1)
            sums[1] += (answers == y).sum()
            sums[2] += len(y)
            if classes:
                confusion.index_add_(0, y * classes + answers, torch.ones_like(y))
            bar.update(len(y) * distributed.size())
    loss, correct, count = distributed.total(sums).tolist()
    if not classes:
        return Score(loss / count, int(correct), int(count))
    matrix = distributed.total(confusion).view(classes, classes).cpu()
    return Score(loss / count, int(correct), int(count), matrix)
