"""digitPairs: each image holds two whole digits of its split, of one class where it says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g_selfatt import datasets
from g_selfatt.datasets.digit_pairs import PAIRS


@pytest.fixture(scope="module")
def splits():
    return datasets.load("digitPairs")


@pytest.mark.parametrize("name", ["train", "validation"])
def test_the_label_is_that_of_the_two_digits_which_are_of_this_split(splits, name):
    digits, pairs = getattr(datasets.load("uprightDigits"), name), getattr(splits, name)
    class_of = {
        digit.numpy().tobytes(): int(label)
        for digit, label in zip(digits.images[:, 0], digits.labels, strict=True)
    }
    for image, label in zip(pairs.images[:300, 0].numpy(), pairs.labels, strict=False):
        windows = np.lib.stride_tricks.sliding_window_view(image, (12, 12)).reshape(-1, 12, 12)
        found = [window.tobytes() for window in windows if window.tobytes() in class_of]
        assert len(found) == 2
        first, second = (class_of[digit] for digit in found)
        assert (first == second) == bool(label)


def test_sizes_and_balance(splits):
    parts = (splits.train, splits.validation, splits.test)
    assert tuple(map(len, parts)) == PAIRS
    assert all(abs(part.labels.double().mean() - 0.5) < 0.03 for part in parts)


def test_it_is_the_same_every_time(splits):
    again = datasets.load("digitPairs")
    assert torch.equal(splits.test.images, again.test.images)
    assert torch.equal(splits.test.labels, again.test.labels)
