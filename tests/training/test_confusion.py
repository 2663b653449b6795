"""What is taken for what: counted as scikit-learn counts it, drawn for few and many classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix, recall_score
from torch import nn

from training import confusion
from training.evaluation import evaluate
from training.figures import by_class, figures
from training.imbalance import warn_of_imbalance
from training.precision import Precision

OFF = Precision("off", torch.device("cpu"), "constant")


@pytest.fixture(scope="module")
def scored():
    """Labels and answers for 5 classes, of which the last has no image, and their score."""
    torch.manual_seed(0)
    labels, logits = torch.randint(4, (60,)), torch.randn(60, 5)
    batches = zip(logits.split(7), labels.split(7), strict=True)
    return labels, logits.argmax(dim=1), evaluate(nn.Identity(), batches, OFF, classes=5)


def test_the_matrix_is_scikit_learn_s(scored):
    labels, answers, score = scored
    np.testing.assert_array_equal(
        score.confusion, confusion_matrix(labels, answers, labels=range(5))
    )
    assert score.confusion.trace() == score.correct


def test_accuracies_of_the_classes(scored):
    labels, answers, score = scored
    found = figures(score, "abcde")["class_accuracy"]
    for label, name in enumerate("abcd"):
        assert found[name] == (answers[labels == label] == label).double().mean()
    assert found["e"] is None
    mean = recall_score(labels, answers, labels=range(4), average="macro")
    assert by_class(score, "abcde").endswith(f"mean over the classes {mean:.2%}")


def test_the_lowest_are_printed():
    names = [f"class{n}" for n in range(25)]
    x = torch.eye(25).repeat(2, 1)
    x[3] = x[28] = x[29] = x[0]  # both of class3, one of class4
    score = evaluate(nn.Identity(), [(x, torch.arange(25).repeat(2))], OFF, classes=25)
    line = by_class(score, names)
    assert "lowest class3 at 0.0%, class4 at 50.0%, class0 at 100.0%; mean" in line


@pytest.mark.parametrize(("classes", "rows"), [(2, 80), (100, 800)])
def test_every_class_has_its_row_in_the_picture(tmp_path, classes, rows):
    matrix = torch.eye(classes, dtype=torch.int64) * 40
    names = [f"$a^^{n}$ of a name that is longer than fits" for n in range(classes)]
    confusion.draw(tmp_path / "picture.png", "a run", matrix, names)
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB")).astype(int)
    assert picture.shape[0] > rows and picture.shape[0] < 3000
    dark = picture[..., 0] < picture[..., 2] - 60  # blue: the diagonal, and part of the colour bar
    drawn = dark[:, : picture.shape[1] * 3 // 4].any(axis=1)  # without the colour bar
    assert drawn.sum() >= 7 * classes  # pixels high, as the letters of the names


def test_a_thousand_classes_are_a_picture_of_bounded_size(tmp_path):
    names = [str(n) for n in range(1000)]
    confusion.draw(tmp_path / "picture.png", "a run", torch.eye(1000, dtype=torch.int64), names)
    with Image.open(tmp_path / "picture.png") as picture:
        assert max(picture.size) < 4500


def test_a_class_without_images_is_drawn(tmp_path):
    confusion.draw(tmp_path / "picture.png", "a run", torch.zeros(3, 3, dtype=torch.int64), "abc")
    assert (tmp_path / "picture.png").exists()


def test_classes_of_very_different_sizes_are_reported(caplog):
    warn_of_imbalance(torch.tensor([0] * 3 + [1]), ("red", "green"))
    assert caplog.text == ""
    warn_of_imbalance(torch.tensor([0] * 58 + [1] * 8), ("green", "red"))
    assert "58 training images of 'green', 8 of 'red'" in caplog.text
    assert "'green' is right for 88 % of them" in caplog.text
