"""uprightDigits: the digits of rotDigits, upright to train on and turned to test on.

No turned digit is seen in training: the test accuracy measures the invariance of the architecture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Turns
from g_selfatt.datasets.registry import INFO, register
from g_selfatt.datasets.rot_digits import SIZES, digits_at_seeded_angles, splits_of, turned_digits

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source, TensorSplit


@register(
    name="uprightDigits",
    provenance="UCI handwritten digits inside scikit-learn, upright; test images rotated",
    image_size=12,
    in_channels=1,
    num_classes=10,
    mean=(0.1736,),
    std=(0.3008,),
    augmentation=(Turns(),),
    protocol=INFO["rotDigits"].protocol,
)
def upright_digits(root: Path, *, download: bool = True) -> Source:
    """Make the data set; it is the same to the byte every time, and neither argument matters.

    Returns:
        1,197 training and 300 validation images, upright, and the 300 test images of rotDigits.
    """
    import numpy as np

    from g_selfatt.datasets.splits import Source

    train, validation, _ = splits_of("uprightDigits", turned_digits(np.zeros(sum(SIZES))))
    return Source(train, validation, splits_of("uprightDigits", digits_at_seeded_angles())[2])


def turned_test(degrees: float) -> TensorSplit:
    """The test images, all turned by one angle in degrees, counter-clockwise."""
    import numpy as np

    return splits_of("uprightDigits", turned_digits(np.full(sum(SIZES), degrees)))[2]
