"""uprightDigits: the digits of rotDigits in its splits, upright but for the test images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from g_selfatt import datasets
from g_selfatt.datasets.rot_digits import SEED, SIZES, rotate
from g_selfatt.datasets.splits import stratified
from g_selfatt.datasets.upright_digits import turned_test


@pytest.fixture(scope="module")
def splits():
    return datasets.load("uprightDigits")


def test_training_and_validation_are_upright(splits):
    digits = load_digits()
    parts = stratified(digits.target, SIZES, SEED)
    for split, part in zip((splits.train, splits.validation), parts, strict=False):
        for number in range(0, len(part), 50):
            upright = rotate(np.rint(digits.images[part[number]] / 16 * 255), 0, 12)
            np.testing.assert_array_equal(split.images[number, 0].numpy(), upright)
        np.testing.assert_array_equal(split.labels.numpy(), digits.target[part])


def test_test_images_are_those_of_rot_digits(splits):
    turned = datasets.load("rotDigits").test
    assert torch.equal(splits.test.images, turned.images)
    assert torch.equal(splits.test.labels, turned.labels)


def test_the_test_images_at_an_angle(splits):
    upright, quarter = turned_test(0), turned_test(90)
    assert torch.equal(quarter.labels, splits.test.labels)
    # a pixel halfway between two levels may round the other way
    assert (quarter.images.int() - upright.images.rot90(1, (2, 3)).int()).abs().max() <= 1
