"""digitPairs: two digits in an image, of the same class or not.

A network has to compare two places that may be far apart: what attention is made for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.record import Protocol
from g_selfatt.datasets.registry import INFO, register
from g_selfatt.datasets.rot_digits import SEED, SIZES, scikit_digits, turned_digits

if TYPE_CHECKING:
    import numpy as np

    from g_selfatt.datasets.splits import Source, TensorSplit

PAIRS = (8_000, 2_000, 2_000)  # train, validation, test


@register(
    name="digitPairs",
    provenance="pairs of the UCI handwritten digits inside scikit-learn, at seeded places",
    image_size=28,
    in_channels=1,
    num_classes=2,
    classes=("different", "same"),
    mean=(0.0637,),
    std=(0.2004,),
    protocol=Protocol("AdamW", 4e-3, "one_cycle", weight_decay=0.02, batch_size=32, epochs=5),
)
def digit_pairs(root: Path, *, download: bool = True) -> Source:
    """Make the data set; it is the same to the byte every time, and neither argument matters.

    Returns:
        8,000 training, 2,000 validation and 2,000 test images. Their digits are those of the
        training, validation and test images of rotDigits, upright: no digit is in two splits.
    """
    import numpy as np

    from g_selfatt.datasets.splits import Source, stratified

    digits, classes = turned_digits(np.zeros(sum(SIZES))), scikit_digits()[1]
    parts = stratified(classes, SIZES, SEED)
    random = np.random.RandomState(SEED)
    splits = (
        _pairs(digits[part], classes[part], count, random)
        for part, count in zip(parts, PAIRS, strict=True)
    )
    return Source(*splits)


def _pairs(
    digits: np.ndarray, classes: np.ndarray, count: int, random: np.random.RandomState
) -> TensorSplit:
    """Half of the pairs, give or take, are of one class."""
    import numpy as np

    from g_selfatt.datasets.splits import TensorSplit

    info, size = INFO["digitPairs"], digits.shape[-1]
    images = np.zeros((count, info.image_size, info.image_size), np.uint8)
    same = random.randint(0, 2, count)
    for image, label in zip(images, same, strict=True):
        first = random.randint(len(digits))
        others = np.flatnonzero((classes == classes[first]) == label)
        for digit, (row, column) in zip(
            (first, random.choice(others)), _places(random, info.image_size, size), strict=True
        ):
            image[row : row + size, column : column + size] = digits[digit]
    return TensorSplit.of_arrays(images, same, info, Path("digitPairs"))


def _places(random: np.random.RandomState, side: int, size: int) -> np.ndarray:
    """Two corners of squares that do not overlap, ``(2, 2)``."""
    while True:
        places = random.randint(0, side - size + 1, (2, 2))
        if abs(places[0] - places[1]).max() >= size:
            return places
