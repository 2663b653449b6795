"""uprightMNIST: the digits of rotMNIST, upright to train on and turned to test on.

The protocol called mnist-rot-test, on the images of `rotmnist_from_mnist`. No turned digit is seen
in training: the test accuracy measures the invariance of the architecture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Turns
from g_selfatt.datasets.registry import INFO, register

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source


@register(
    name="uprightMNIST",
    provenance="MNIST, upright; test images rotated (uniform angles, bilinear)",
    image_size=28,
    in_channels=1,
    num_classes=10,
    mean=(0.1303,),
    std=(0.3077,),
    augmentation=(Turns(),),
)
def upright_mnist(root: Path, *, download: bool = True) -> Source:
    """Make the data set from MNIST in ``<root>/MNIST``, in seconds; no digit is in two splits.

    Returns:
        10,000 training and 2,000 validation images, upright, and 50,000 test images, which are
        those of rotMNIST as it is regenerated from MNIST.

    Raises:
        DataError: MNIST cannot be had, or it was turned into other pixels.
    """
    from g_selfatt.datasets.rotmnist_from_mnist import (
        SIZES,
        chosen,
        regenerate,
        verified,
        whole_mnist,
    )
    from g_selfatt.datasets.splits import Source, TensorSplit

    images, labels = whole_mnist(root, download=download)
    turned = verified(regenerate(images, labels))
    upright = images[chosen(len(images))]
    train, valid = SIZES["train"], SIZES["valid"]
    pixels = {"train": upright[:train], "valid": upright[train : train + valid]}
    pixels["test"] = turned["x_test"]
    info, file = INFO["uprightMNIST"], root / "MNIST"
    return Source(
        *(TensorSplit.of_arrays(pixels[split], turned[f"y_{split}"], info, file) for split in SIZES)
    )
