"""What augment=True does to the training images of every data set: nothing would be no error."""

from g_selfatt import datasets
from g_selfatt.datasets.augment import Mirrors, QuarterTurns, Shifts, Turns

AUGMENTATIONS = {
    "CIFAR10": (Mirrors(), Shifts(4)),
    "digitPairs": (),
    "folder": (Turns(), Mirrors()),
    "MNIST": (Shifts(2),),
    "PCam": (QuarterTurns(), Mirrors()),
    "rotDigits": (Turns(),),
    "rotMNIST": (Turns(),),
    "uprightDigits": (Turns(),),
    "uprightMNIST": (Turns(),),
}


def test_of_every_data_set():
    assert {name: info.augmentation for name, info in datasets.INFO.items()} == AUGMENTATIONS
