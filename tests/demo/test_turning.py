"""The animation: its frames, and the numbers on them."""

import numpy as np
import pytest
import torch
from PIL import Image

from demo.figures import turning
from demo.networks import example_image, shipped_layers
from g_selfatt import datasets, groups
from g_selfatt.testing import equivariance_error

PIXELS, _ = example_image(datasets.INFO["rotDigits"])


def test_the_errors_at_multiples_of_90_degrees_are_those_of_equivariance_error():
    network, group = shipped_layers("p4sa", turning.DATASET, turning.LAYER)
    result = turning.measure(network, group, PIXELS, 8)
    assert result.errors[::2] == list(equivariance_error(network, group, PIXELS).values())
    assert max(result.errors[::2]) < 1e-9 and min(result.errors[1::2]) > 1e-3


def test_z2sa_is_compared_with_the_turned_map():
    network, group = shipped_layers("z2sa", turning.DATASET, turning.LAYER)
    result = turning.measure(network, group, PIXELS, 4)
    with torch.no_grad():
        upright = network(PIXELS).numpy()
        turned = network(PIXELS.rot90(dims=(2, 3))).numpy()
    error = np.abs(turned - np.rot90(upright, axes=(3, 4))).max() / np.abs(upright).max()
    assert result.errors[1] == pytest.approx(error, rel=1e-9)
    assert min(result.errors[1:]) > 1e-3


def test_the_nearest_element():
    nearest = [turning.nearest_element(groups.get("p4"), k, 24) for k in range(24)]
    # Every 15°; 45° lies between two, and goes with the second.
    assert nearest == 3 * [0] + 6 * [1] + 6 * [2] + 6 * [3] + 3 * [0]
    assert turning.nearest_element(groups.get("z2"), 11, 24) == 0


def test_the_file_has_a_frame_for_each_angle(tmp_path, monkeypatch):
    monkeypatch.setattr(turning, "NUM_ANGLES", 4)
    picture = Image.open(turning.draw(tmp_path))
    assert (picture.n_frames, picture.size, picture.info["duration"]) == (4, (790, 300), 250)
    assert picture.info["loop"] == 0  # for ever
    frames = []
    for k in range(4):
        picture.seek(k)
        frames.append(np.array(picture.convert("L"), dtype=float)[90:190, 8:118])  # the digit
    assert len({frame.tobytes() for frame in frames}) == 4
