"""The table of data sets: the one place that knows their names, shapes and normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.augment import Mirrors, QuarterTurns, Shifts, Transform, Turns


@dataclass(frozen=True)
class DatasetInfo:
    """The facts about a data set that models and training need.

    Attributes:
        name: the canonical name, a key of `INFO`.
        image_size: height and width of an image, in pixels.
        in_channels: channels of an image.
        num_classes: number of classes; labels are 0 … num_classes − 1.
        mean: mean of pixel/255, one number per channel.
        std: standard deviation of pixel/255, one number per channel.
        provenance: one line on where the pixels come from.
        augmentation: the transformations of ``augment=True``, in the order they are applied.
        held_out: how many of the last training images serve as validation; 0 where the data set
            has a validation split of its own.
    """

    name: str
    image_size: int
    in_channels: int
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: str
    augmentation: tuple[Transform, ...]
    held_out: int = 0


_TABLE = (
    DatasetInfo(
        name="rotDigits",
        # 8 to 16; the mean and std below are those of this size.
        image_size=12,
        in_channels=1,
        num_classes=10,
        mean=(0.1733,),
        std=(0.3009,),
        provenance="UCI handwritten digits inside scikit-learn, each rotated by a seeded angle",
        augmentation=(Turns(),),
    ),
    DatasetInfo(
        name="rotMNIST",
        image_size=28,
        in_channels=1,
        num_classes=10,
        mean=(0.1307,),
        std=(0.3081,),
        provenance="rotated MNIST (mnist_rotation_new) of the University of Montreal",
        augmentation=(Turns(),),
    ),
    DatasetInfo(
        name="MNIST",
        image_size=28,
        in_channels=1,
        num_classes=10,
        mean=(0.1307,),
        std=(0.3081,),
        provenance="MNIST, as torchvision distributes it",
        augmentation=(Shifts(2),),
        held_out=10_000,
    ),
    DatasetInfo(
        name="CIFAR10",
        image_size=32,
        in_channels=3,
        num_classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        provenance="CIFAR-10, as torchvision distributes it",
        augmentation=(Mirrors(), Shifts(4)),
        held_out=5_000,
    ),
    DatasetInfo(
        name="PCam",
        image_size=96,
        in_channels=3,
        num_classes=2,
        mean=(0.701, 0.538, 0.692),
        std=(0.235, 0.277, 0.213),
        provenance="PatchCamelyon, the images found in its folders",
        augmentation=(QuarterTurns(), Mirrors()),
    ),
)

INFO: dict[str, DatasetInfo] = {info.name: info for info in _TABLE}
NAMES: tuple[str, ...] = tuple(INFO)

# MNIST_rot is what the released command lines and folders call it.
_SPELLINGS = {name.lower(): name for name in NAMES} | {"mnist_rot": "rotMNIST"}


def canonical_name(name: str) -> str:
    """Return the one spelling of a data set's name, given it in any case.

    Raises:
        ValueError: there is no such data set; the message lists those that there are.
    """
    try:
        return _SPELLINGS[str(name).lower()]
    except KeyError:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(NAMES)}") from None
