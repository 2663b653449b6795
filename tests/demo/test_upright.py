"""Upright in, turned out: what is counted, and that the networks of p4 are right four times."""

import json

import numpy as np
import torch
from PIL import Image

from demo import upright
from demo.figures import upright as picture
from g_selfatt import models
from g_selfatt.datasets.rot_digits import SIZES
from runs import results
from training.errors import UserError


def test_right_answers_are_counted_at_every_angle():
    """A network that answers the brightest of ten pixels, on images that have one."""
    labels = torch.tensor([3, 1, 4])
    upright_images = torch.eye(10)[labels].view(1, 3, 1, 10, 1)
    images = torch.cat([upright_images, upright_images.roll(1, dims=3)])
    images[1, 0] = upright_images[0, 0]
    assert upright.count_right(torch.nn.Flatten(), images, labels) == [3, 1]


def test_a_network_of_p4_is_right_at_every_quarter_turn_or_never(monkeypatch):
    monkeypatch.setattr(upright, "STEP", 45)
    network = models.create_model("p4convnet", "uprightDigits")
    counts = upright.count_right(network, *upright.turned_images())
    assert len(counts) == 8 and counts[::2] == [counts[0]] * 4


def test_the_kept_figures_are_those_of_p4():
    kept = json.loads(picture.FIGURES.read_text())
    assert list(kept["right"]) == list(picture.NETWORKS)
    assert kept["images"] == SIZES[2]
    for name in kept["right"]:
        right = np.array(kept["right"][name])
        quarters = right.reshape(len(right), 4, -1)
        # a pixel halfway between two levels may round the other way
        same = np.abs(quarters - quarters[:, :1]).max() <= 3
        assert same == name.startswith("p4")


def test_the_kept_figures_agree_with_the_runs():
    """The angles of the test images are uniform, so their accuracy is that over all angles."""
    kept = json.loads(picture.FIGURES.read_text())
    for name, right in kept["right"].items():
        run = results.read(f"upright_digits_{name}")[0]
        assert abs(np.mean(right[0]) / kept["images"] - run["test_accuracy"]) < 0.06


def test_the_folder_is_made_before_the_work(tmp_path, monkeypatch, capsys):
    def trained(recipe, seed):
        assert (tmp_path / "new").is_dir()
        raise UserError("that is all")

    monkeypatch.setattr(upright, "STEP", 180)
    monkeypatch.setattr(upright, "trained", trained)
    assert upright.main([f"--out={tmp_path / 'new'}"]) == 2
    assert capsys.readouterr().err == "that is all\n"
    (tmp_path / "file").touch()
    assert upright.main([f"--out={tmp_path / 'file'}"]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'file'}: File exists\n"


def test_the_picture_has_the_size_of_all(tmp_path):
    assert Image.open(picture.draw(tmp_path)).size == (1440, 980)
