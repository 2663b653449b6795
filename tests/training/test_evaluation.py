"""Scores against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.evaluation import evaluate
from training.precision import Precision

OFF = Precision("off", torch.device("cpu"), "constant")


class LogProbabilities(nn.Module):
    """Takes images that are the class probabilities themselves."""

    def forward(self, x):
        assert not self.training
        return x.flatten(1).log()


def test_loss_and_accuracy_are_means_over_images_not_over_batches():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    x, y = probabilities[:, :, None, None], torch.tensor([0, 0, 2])
    model = LogProbabilities()
    score = evaluate(model, [(x[:2], y[:2]), (x[2:], y[2:])], OFF)
    assert score.loss == pytest.approx(-(math.log(0.5) + math.log(0.2) + math.log(0.8)) / 3)
    assert (score.correct, score.images, score.accuracy) == (2, 3, 2 / 3)
    assert model.training  # put back
    assert str(score) == "66.67% (2 of 3 images)"


def test_each_part_of_a_network_in_training_has_its_own_mode_afterwards():
    frozen = nn.BatchNorm2d(1).eval()
    model = nn.Sequential(frozen, nn.Dropout(0.5), nn.Flatten())
    x, y = torch.rand(4, 1, 1, 2), torch.zeros(4, dtype=torch.int64)
    evaluate(model, [(x, y)], OFF)
    assert model.training and model[1].training and not frozen.training
    with pytest.raises(IndexError):
        evaluate(model, [(x, y + 2)], OFF)  # there are two classes
    assert model.training and model[1].training and not frozen.training


def test_a_bar_counts_the_images(capsys):
    model = nn.Conv2d(1, 2, 1)
    x, y = torch.zeros(3, 1, 1, 1), torch.tensor([0, 1, 1])
    batches = [(x[:2], y[:2]), (x[2:], y[2:])]
    network = nn.Sequential(model, nn.Flatten())
    score = evaluate(network, batches, OFF, title="test images", images=3)
    assert score.images == 3
    error = capsys.readouterr().err
    assert "test images   0%" in error and "0/3 images, ? left" in error
    evaluate(network, batches, OFF)
    assert capsys.readouterr().err == ""
