"""Loaders: which images come, in what order, on what scale, and moved how."""

from __future__ import annotations

import dataclasses
import os
import signal

import numpy as np
import pytest
import torch
from scipy import ndimage

from g_selfatt import datasets
from g_selfatt.datasets import TensorSplit, make_loader
from g_selfatt.datasets.augment import Mirrors, QuarterTurns, Shifts, Turns
from g_selfatt.datasets.splits import FolderSplit

INFO = datasets.INFO["CIFAR10"]


@pytest.fixture
def split():
    """Twenty-three images whose label is their place."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (23, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return TensorSplit(images, torch.arange(23))


def labels_of(loader, epoch: int = 0) -> list[int]:
    loader.set_epoch(epoch)
    return [label for _, labels in loader for label in labels.tolist()]


def test_evaluation_covers_every_image_once_in_order(split):
    loader = make_loader(split, INFO, 5, device="cpu", shuffle=False)
    assert len(loader) == len(list(loader)) == 5
    assert labels_of(loader) == list(range(23))


def test_pixels_are_normalized_by_channel(split):
    loader = make_loader(split, INFO, 23, device=torch.device("cpu"), shuffle=False)
    ((x, y),) = loader
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    for channel in range(3):
        expected = split.images[:, channel].double() / 255
        expected = (expected - INFO.mean[channel]) / INFO.std[channel]
        torch.testing.assert_close(x[:, channel].double(), expected, rtol=0, atol=1e-6)


def test_training_drops_the_incomplete_batch(split):
    loader = make_loader(split, INFO, 5, device="cpu", shuffle=True)
    batches = list(loader)
    assert len(loader) == len(batches) == 4
    assert all(len(labels) == 5 for _, labels in batches)
    assert len(set(labels_of(loader))) == 20


def test_training_covers_everything_when_the_batches_are_whole(split):
    loader = make_loader(split.head(20), INFO, 5, device="cpu", shuffle=True)
    assert sorted(labels_of(loader)) == list(range(20))


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_split_smaller_than_a_batch_is_one_batch(split, shuffle):
    loader = make_loader(split, INFO, 64, device="cpu", shuffle=shuffle)
    assert len(loader) == len(list(loader)) == 1
    assert sorted(labels_of(loader)) == list(range(23))


def test_order_and_augmentation_depend_on_seed_and_epoch_alone(split):
    def batches(seed, epoch):
        loader = make_loader(split, INFO, 5, device="cpu", shuffle=True, seed=seed, augment=True)
        loader.set_epoch(epoch)
        torch.rand(3)  # someone else's random numbers
        return torch.cat([x for x, _ in loader]), torch.cat([y for _, y in loader])

    x, y = batches(1, 4)
    again_x, again_y = batches(1, 4)
    assert torch.equal(x, again_x)
    assert torch.equal(y, again_y)
    orders = [labels_of(make_loader(split, INFO, 5, device="cpu", shuffle=True))]
    for seed, epoch in ((1, 4), (1, 5), (2, 4), (4, 1), (5, 0)):
        orders.append(batches(seed, epoch)[1].tolist())
    assert len({tuple(order) for order in orders}) == len(orders)


def test_augmentation_does_not_change_the_order(split):
    plain, moved = (
        make_loader(split, INFO, 5, device="cpu", shuffle=True, seed=9, augment=augment)
        for augment in (False, True)
    )
    assert labels_of(plain) == labels_of(moved)


def test_augmentation_changes_between_epochs_and_is_off_by_default(split):
    def images(epoch, **options):
        loader = make_loader(split, INFO, 23, device="cpu", shuffle=False, **options)
        loader.set_epoch(epoch)
        return next(iter(loader))[0]

    assert torch.equal(images(0), images(1))
    assert not torch.equal(images(0, augment=True), images(1, augment=True))
    assert not torch.equal(images(0), images(0, augment=True))


def test_augmented_batches_are_the_transformed_images(split):
    info = dataclasses.replace(INFO, mean=(0.0,) * 3, std=(1.0,) * 3, augmentation=(Mirrors(),))
    loader = make_loader(split, info, 5, device="cpu", shuffle=True, augment=True)
    mirrored = 0
    for x, y in loader:
        for image, label in zip((x * 255).round().byte(), y, strict=True):
            original = split.images[label]
            flip = torch.equal(image, original.flip(2))
            assert flip or torch.equal(image, original)
            mirrored += flip
    assert 0 < mirrored < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"num_workers": -2}, "num_workers must be at least 0, got -2"),
        ({"share": (2, 2)}, r"share must be \(i, n\) with 0 ≤ i < n, got \(2, 2\)"),
        ({"share": (-1, 2)}, "share must be"),
    ],
)
def test_impossible_values_are_refused(split, options, message):
    with pytest.raises(ValueError, match=message):
        make_loader(split, INFO, **({"batch_size": 4, "device": "cpu", "shuffle": True} | options))


def read_or_die(path):
    if path == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    return np.zeros((4, 4, 1), np.uint8)


def test_a_reading_process_that_is_killed_is_a_mistake_of_the_data():
    info = dataclasses.replace(datasets.INFO["rotDigits"], image_size=4)
    folder = FolderSplit([(str(n), 0) for n in range(8)], read_or_die, (4, 4, 1))
    loader = make_loader(folder, info, 2, device="cpu", shuffle=False, num_workers=1)
    with pytest.raises(datasets.DataError, match="was killed: .*fewer --config.num_workers"):
        list(loader)


@pytest.fixture
def images(split):
    return split.images[:, :, :5, :5].contiguous()


def test_quarter_turns_are_those_of_torch(images):
    turns = torch.arange(23) % 4
    turned = QuarterTurns()(images, turns)
    for image, turn, result in zip(images, turns, turned, strict=True):
        assert torch.equal(result, torch.rot90(image, int(turn), (1, 2)))


def test_turns_by_multiples_of_90_degrees_are_quarter_turns(images):
    turns = torch.arange(23) % 4
    assert torch.equal(Turns()(images, 90.0 * turns), QuarterTurns()(images, turns))


def test_turns_by_any_angle_are_those_of_scipy_inside_the_disc(split):
    angles = torch.linspace(0, 350, 23)
    turned = Turns()(split.images, angles)
    y, x = np.mgrid[:32, :32] - 15.5
    inside = x**2 + y**2 < 15**2
    for image, angle, result in zip(split.images, angles.tolist(), turned, strict=True):
        expected = ndimage.rotate(image[0].double().numpy(), angle, reshape=False, order=1)
        assert np.abs(result[0].numpy() - expected)[inside].max() <= 0.51


def test_turns_are_drawn_from_the_whole_circle():
    angles = Turns().draw(9000, torch.Generator().manual_seed(0))
    assert angles.min() >= 0 and angles.max() < 360
    counts = torch.histc(angles, bins=9, min=0, max=360)
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()


def test_mirrors_swap_left_and_right(images):
    choice = torch.arange(23) % 3 == 0
    mirrored = Mirrors()(images, choice)
    assert torch.equal(mirrored[choice], images[choice].flip(-1))
    assert torch.equal(mirrored[~choice], images[~choice])


def test_shifts_move_down_and_right_and_fill_with_black(images):
    moves = torch.tensor([[dr, dc] for dr in range(-2, 3) for dc in range(-2, 3)])[:23]
    moved = Shifts(2)(images, moves)
    for image, (down, right), result in zip(images, moves.tolist(), moved, strict=True):
        for row in range(5):
            for col in range(5):
                inside = 0 <= row - down < 5 and 0 <= col - right < 5
                expected = image[:, row - down, col - right] if inside else torch.zeros(3)
                assert result[:, row, col].tolist() == expected.tolist()


@pytest.mark.parametrize("transform", [QuarterTurns(), Mirrors(), Shifts(4)])
def test_every_choice_is_drawn_about_equally_often(transform):
    choices = transform.draw(9000, torch.Generator().manual_seed(0))
    values, counts = choices.reshape(-1).unique(return_counts=True)
    expected = {QuarterTurns: range(4), Mirrors: range(2), Shifts: range(-4, 5)}[type(transform)]
    assert values.tolist() == list(expected)
    share = choices.numel() / len(expected)
    assert ((counts - share).abs() < 5 * share**0.5).all()


@pytest.mark.parametrize("transform", [Turns(), QuarterTurns(), Mirrors(), Shifts(2)])
def test_results_keep_shape_type_and_layout(images, transform):
    result = transform(images, transform.draw(23, torch.Generator()))
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert result.is_contiguous()
