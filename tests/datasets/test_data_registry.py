"""Names, facts and protocols: one table, any spelling, one line for what does not exist."""

from __future__ import annotations

import pytest

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


def test_names():
    names = {"rotDigits", "rotMNIST", "MNIST", "CIFAR10", "PCam"}
    assert names <= set(datasets.list_datasets())
    assert all(info.name == name for name, info in datasets.INFO.items())


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("rotdigits", "rotDigits"),
        ("rotmnist", "rotMNIST"),
        ("MNIST_rot", "rotMNIST"),
        ("mnist", "MNIST"),
        ("Cifar10", "CIFAR10"),
        ("pcam", "PCam"),
        ("PCAM", "PCam"),
    ],
)
def test_any_case_is_one_name(spelling, name):
    assert datasets.canonical_name(spelling) == name


@pytest.mark.parametrize("name", ["ImageNet", "", None])
def test_unknown_names_list_the_choices(name, one_line):
    with pytest.raises(ValueError) as caught:
        datasets.canonical_name(name)
    one_line(caught.value, repr(name), ", ".join(datasets.list_datasets()))


@pytest.mark.parametrize(
    ("name", "shape", "classes", "mean", "std"),
    [
        ("rotMNIST", (1, 28), 10, (0.1307,), (0.3081,)),
        ("MNIST", (1, 28), 10, (0.1307,), (0.3081,)),
        ("CIFAR10", (3, 32), 10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("PCam", (3, 96), 2, (0.701, 0.538, 0.692), (0.235, 0.277, 0.213)),
    ],
)
def test_facts(name, shape, classes, mean, std):
    info = datasets.INFO[name]
    assert (info.in_channels, info.image_size) == shape
    assert info.num_classes == classes
    assert (info.mean, info.std) == (mean, std)


@pytest.mark.parametrize("name", ["rotDigits", "uprightDigits", "digitPairs"])
def test_normalization_is_that_of_the_training_images(name):
    splits = datasets.load(name)
    pixels = splits.train.images.double() / 255
    assert splits.info.mean == (round(pixels.mean().item(), 4),)
    assert splits.info.std == (round(pixels.std(unbiased=False).item(), 4),)


def test_augmentations_of_every_data_set():
    """What augment=True does to the training images: nothing would be no error."""
    assert {name: info.augmentation for name, info in datasets.INFO.items()} == AUGMENTATIONS


def test_paper_protocol_validates_on_test():
    splits = datasets.load("rotdigits", eval_protocol="paper")
    assert len(splits.train) == 1197
    assert splits.validation is splits.test
    held_out = datasets.load("rotdigits")
    assert held_out.validation is not held_out.test


def test_impossible_arguments_are_refused(one_line):
    with pytest.raises(ValueError) as caught:
        datasets.load("rotDigits", eval_protocol="best")
    one_line(caught.value, "'best'", "held_out, paper")
    with pytest.raises(ValueError) as caught:
        datasets.load("rotDigits", limit=0)
    one_line(caught.value, "limit", "0")
