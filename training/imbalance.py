"""Training images that are of one class far more often than of another."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
_NOTABLE = 3  # times as many images


def warn_of_imbalance(labels: Tensor, classes: Sequence[str]) -> None:
    """Log a warning where some classes have far more training images than others.

    Args:
        labels: of the training images, ``(N,)``.
        classes: names of the classes, in the order of their labels.
    """
    counts = torch.bincount(labels, minlength=len(classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > _NOTABLE * counts[least]:
        logger.warning(
            "the classes are of different sizes: %d training images of %r, %d of %r; the answer "
            "%r is right for %.0f %% of them: look at the accuracy of every class",
            *(counts[most], classes[most], counts[least], classes[least]),
            *(classes[most], 100 * counts[most] / len(labels)),
        )
