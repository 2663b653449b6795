"""rotDigits: the right digits, turned, whole, and the same to the byte every time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from g_selfatt import datasets
from g_selfatt.datasets.rot_digits import SEED, SIZES, rotate
from g_selfatt.datasets.splits import stratified

REPOSITORY = Path(__file__).parents[2]
SIZE = datasets.INFO["rotDigits"].image_size
DIGEST = """
import datasets, hashlib
splits = datasets.load("rotDigits")
parts = (splits.train, splits.validation, splits.test)
print(hashlib.sha256(b"".join(p.images.numpy().tobytes() for p in parts)).hexdigest())
"""


@pytest.fixture(scope="module")
def splits():
    return datasets.load("rotDigits")


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_sizes_types_and_shapes(splits):
    for split, size in ((splits.train, 1197), (splits.validation, 300), (splits.test, 300)):
        assert len(split) == size
        assert split.images.shape == (size, 1, SIZE, SIZE)
        assert split.images.dtype == torch.uint8
        assert split.labels.shape == (size,)
        assert split.labels.dtype == torch.int64


def test_same_bytes_in_another_process(splits):
    parts = (splits.train, splits.validation, splits.test)
    here = hashlib.sha256(b"".join(part.images.numpy().tobytes() for part in parts)).hexdigest()
    run = [sys.executable, "-c", DIGEST]
    there = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_every_digit_is_in_one_split_under_its_own_label(splits, digits):
    angles = np.random.RandomState(SEED).uniform(0, 360, len(digits.images))
    expected = {
        rotate(np.rint(image / 16 * 255), angle, SIZE).tobytes(): label
        for image, angle, label in zip(digits.images, angles, digits.target, strict=True)
    }
    assert len(expected) == 1797  # no two digits look the same
    found = {
        image.numpy().tobytes(): label.item()
        for split in (splits.train, splits.validation, splits.test)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    assert found == expected


def test_classes_have_their_share_of_every_split(splits, digits):
    whole = np.bincount(digits.target)
    for split in (splits.train, splits.validation, splits.test):
        share = whole * (len(split) / whole.sum())
        assert np.abs(np.bincount(split.labels.numpy()) - share).max() <= 1.5


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_stratified_is_a_partition_that_its_seed_decides(digits, seed):
    parts = stratified(digits.target, SIZES, seed)
    assert [len(part) for part in parts] == list(SIZES)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
    again, other = (
        stratified(digits.target, SIZES, seed),
        stratified(digits.target, SIZES, seed + 1),
    )
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    assert all((a != b).any() for a, b in zip(parts, other, strict=True))


def test_stratified_refuses_sizes_that_do_not_add_up():
    with pytest.raises(ValueError, match=r"sum to 5, expected 6"):
        stratified(np.zeros(6, dtype=int), (3, 2), 0)


@pytest.mark.parametrize("size", [8, 12, 15, 16])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_those_of_numpy(digits, size, turns):
    for image in digits.images[:20]:
        upright = rotate(image * 255 / 16, 0, size).astype(int)
        turned = rotate(image * 255 / 16, 90 * turns, size).astype(int)
        # cos 90° is not quite zero, so a pixel halfway between two levels may round the other way
        assert np.abs(turned - np.rot90(upright, turns)).max() <= 1


@pytest.mark.parametrize("degrees", [0, 20, 45, 130, 300])
def test_a_dot_moves_counter_clockwise_about_the_centre(degrees):
    dot = np.zeros((8, 8))
    dot[1, 5] = 255
    turned = rotate(dot, degrees, 16).astype(float)
    row, col = (turned.sum(axis) @ np.arange(16) / turned.sum() - 7.5 for axis in (1, 0))
    # x to the right and y up; 7·√2 pixels between opposite corners become 15.
    start, scale = complex(5 - 3.5, 3.5 - 1), 15 / (7 * np.sqrt(2))
    expected = scale * start * np.exp(1j * np.radians(degrees))
    assert abs(complex(col, -row) - expected) < 0.05


@pytest.mark.parametrize("corner", [(0, 0), (0, 7), (7, 7), (7, 0)])
@pytest.mark.parametrize("degrees", [45, 135, 225, 315])
def test_the_farthest_pixel_stays_in_the_frame(corner, degrees):
    image = np.zeros((8, 8))
    image[corner] = 255
    turned = rotate(image, degrees, 13)
    assert turned.max() >= 254
    # It reaches the middle of a border: no larger scale would keep it.
    assert max(turned[0, 6], turned[12, 6], turned[6, 0], turned[6, 12]) == turned.max()


def test_grey_levels_use_the_whole_byte(splits):
    assert splits.train.images.max() == 255
    assert splits.train.images.min() == 0
