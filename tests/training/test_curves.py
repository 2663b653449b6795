"""The picture is a picture, and there is something in it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from training.curves import draw

RESULTS = {"best_epoch": 1, "test_accuracy": 0.7, "selected_on": "validation"}


def row(epoch, value):
    keys = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return {"epoch": epoch, **dict.fromkeys(keys, value)}


def picture(path, history):
    draw(path, "a run", history, RESULTS)
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_curves_are_drawn_and_depend_on_the_numbers(tmp_path):
    one = picture(tmp_path / "one.png", [row(1, 0.5), row(2, 0.6)])
    other = picture(tmp_path / "other.png", [row(1, 0.5), row(2, 0.9)])
    assert one.shape == other.shape == (480, 1200, 3)
    assert (one != other).any()
    for colour in ((31, 119, 180), (255, 127, 14)):  # the first two of matplotlib's cycle
        assert (one == colour).all(axis=-1).sum() > 50


def test_one_epoch_is_enough(tmp_path):
    assert (picture(tmp_path / "one.png", [row(1, 0.5)]) != 255).any()
