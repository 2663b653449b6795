"""rotDigits: real rotated digits that need no download, small enough for two CPU cores.

The 1,797 images of 8×8 pixels are those of the UCI "Optical Recognition of Handwritten Digits"
set, which ship inside scikit-learn.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING

from g_selfatt.datasets.augment import Turns
from g_selfatt.datasets.errors import require
from g_selfatt.datasets.record import Protocol
from g_selfatt.datasets.registry import INFO, register

if TYPE_CHECKING:
    import numpy as np

    from g_selfatt.datasets.splits import Source, TensorSplit

SEED = 0
SIZES = (1_197, 300, 300)  # train, validation, test


def rotate(image: np.ndarray, degrees: float, size: int) -> np.ndarray:
    """Enlarge a square image and rotate it about its centre, in a single interpolation.

    The corner pixels of the input land on the circle inscribed in the output, so that no angle
    moves anything out of the frame. Cubic splines, because bilinear weights visibly blur strokes
    that are two pixels wide.

    Args:
        image: (n, n), black (0) at infinity.
        degrees: counter-clockwise angle.
        size: side of the output, in pixels.

    Returns:
        uint8 (size, size), clipped to 0 … 255.
    """
    import numpy as np

    ndimage = require("scipy.ndimage", "turning images")
    # A margin of black keeps the spline's boundary condition away from the strokes.
    padded = np.pad(image, len(image) // 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    shrink = math.sqrt(2) * (len(image) - 1) / (size - 1)
    to_input = shrink * np.array([[cos, sin], [-sin, cos]])  # of an output (row, col) offset
    centre_in, centre_out = (len(padded) - 1) / 2, (size - 1) / 2
    offset = centre_in - to_input @ [centre_out, centre_out]
    turned = ndimage.affine_transform(padded, to_input, offset, output_shape=(size, size), order=3)
    return np.clip(np.rint(turned), 0, 255).astype(np.uint8)


@functools.cache  # 1 MB, decoded from text
def scikit_digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits of scikit-learn: images (1797, 8, 8) of numbers from 0 to 16, and classes (1797,).

    Raises:
        DataError: scikit-learn is missing.
    """
    digits = require("sklearn.datasets", "a data set of digits").load_digits()
    return digits.images, digits.target


def turned_digits(degrees: np.ndarray) -> np.ndarray:
    """All digits of scikit-learn, enlarged, each turned by its own angle.

    Args:
        degrees: counter-clockwise angles (1797,).

    Returns:
        uint8 (1797, 12, 12), in the order of scikit-learn.
    """
    import numpy as np

    size = INFO["rotDigits"].image_size
    # 16 steps of grey over the whole range of a byte
    grey = np.rint(scikit_digits()[0] * (255 / 16))
    return np.stack(
        [rotate(image, angle, size) for image, angle in zip(grey, degrees, strict=True)]
    )


@functools.cache  # 0.3 MB, which take longer to turn than a small network to train on
def digits_at_seeded_angles() -> np.ndarray:
    """All digits of scikit-learn as rotDigits has them, uint8 (1797, 12, 12)."""
    import numpy as np

    return turned_digits(np.random.RandomState(SEED).uniform(0, 360, sum(SIZES)))


def splits_of(name: str, images: np.ndarray) -> list[TensorSplit]:
    """Training, validation and test images with their labels, stratified by class.

    Args:
        name: of a data set of turned digits.
        images: uint8 (1797, 12, 12), in the order of scikit-learn.
    """
    from g_selfatt.datasets.splits import TensorSplit, stratified

    labels = scikit_digits()[1]
    return [
        TensorSplit.of_arrays(images[part], labels[part], INFO[name], Path(name))
        for part in stratified(labels, SIZES, SEED)
    ]


@register(
    name="rotDigits",
    provenance="UCI handwritten digits inside scikit-learn, each rotated by a seeded angle",
    image_size=12,  # 8 to 16 work; mean and std below are of this size
    in_channels=1,
    num_classes=10,
    mean=(0.1733,),
    std=(0.3009,),
    augmentation=(Turns(),),
    # Our own tuning: minutes on two CPU cores.
    protocol=Protocol(lr=4e-3, scheduler="one_cycle", epochs=10),
)
def rot_digits(root: Path, *, download: bool = True) -> Source:
    """Make the data set; it is the same to the byte every time, and neither argument matters.

    Returns:
        1,197 training, 300 validation and 300 test images, stratified by class.
    """
    from g_selfatt.datasets.splits import Source

    return Source(*splits_of("rotDigits", digits_at_seeded_angles()))
