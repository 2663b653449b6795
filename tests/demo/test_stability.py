"""Probabilities while an image turns: what they are, and what equivariance makes of them."""

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from demo import stability
from demo.stability import main, measure, read_image, turn

INFO = datasets.INFO["rotDigits"]


@pytest.fixture(scope="module")
def images():
    test = datasets.load("rotDigits").test
    return turn(test.images[:1].double() / 255, 8)


def test_the_image_turns_counter_clockwise():
    pixels = torch.rand(1, 1, 5, 5).double()
    turned = turn(pixels, 4)
    for k in range(4):
        assert np.array_equal(turned[k, 0], np.rot90(pixels[0, 0], k))


@pytest.mark.parametrize(("name", "invariant"), [("p4sa", True), ("z2sa", False)])
def test_probabilities_at_multiples_of_90_degrees(name, invariant, images):
    result = measure(stability.load_network(name, INFO), images, 5)
    assert result.probabilities.shape == (8, 10)
    torch.testing.assert_close(result.probabilities.sum(dim=1), torch.ones(8).double())
    quarters = result.probabilities[::2]
    difference = (quarters - quarters[0]).abs().max().item()
    assert difference < 1e-6 if invariant else difference > 1e-2


def test_the_summary_is_what_numpy_says():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]]).double()
    result = stability.Stability(probabilities, 0)
    assert result.right.tolist() == [True, False, True]
    truth = np.array([0.7, 0.1, 0.5])
    assert result.summary() == f"right at 2 of 3 angles, p = {truth.mean():.2f} ± {truth.std():.2f}"


def test_the_classes_drawn_are_the_true_one_and_the_strongest():
    first = torch.tensor([[0.1, 0.5, 0.0, 0.2, 0.1, 0.1], [0.6, 0.1, 0.0, 0.2, 0.05, 0.05]])
    second = torch.tensor([[0.0, 0.2, 0.7, 0.1, 0.0, 0.0]])
    both = [stability.Stability(p, 3) for p in (first, second)]
    assert stability._classes_to_draw(both) == [3, 2, 0, 1]


def test_the_digit_that_is_shipped_is_a_2_to_the_network_of_rotmnist():
    pixels = read_image(stability.DIGIT, datasets.INFO["rotMNIST"])
    assert pixels.shape == (1, 1, 28, 28)
    assert (pixels.min(), pixels.max()) == (0, 1)
    result = measure(stability.load_network("z2sa", datasets.INFO["rotMNIST"]), pixels, 2)
    assert result.right.all()


def test_an_image_of_ones_own_is_read_and_drawn(tmp_path, capsys):
    grey = np.arange(144, dtype=np.uint8).reshape(12, 12)
    Image.fromarray(grey).save(tmp_path / "mine.png")
    np.testing.assert_allclose(read_image(tmp_path / "mine.png", INFO)[0, 0], grey / 255)
    Image.fromarray(grey).convert("RGB").resize((24, 24)).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png", INFO).shape == (1, 1, 12, 12)
    arguments = ["--dataset=rotdigits", "--models", "z2sa", "p4sa", f"--out={tmp_path}/out.png"]
    assert main([*arguments, f"--image={tmp_path}/mine.png", "--label=3"]) == 0
    assert Image.open(tmp_path / "out.png").size == (960, 592)
    assert "z2sa: right at " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--dataset=rotDigits", "--models", "z2cnn"], "z2cnn is made for 28×28 grey images"),
        (["--dataset=rotDigits", "--models", "p8sa"], "no weights are shipped for"),
        (["--models", "q4sa"], "unknown model 'q4sa'; choose one of"),
        (["--dataset=CIFAR10"], "digits are grey, the images of CIFAR10 are in colour"),
        (["--dataset=digits"], "unknown data set 'digits'"),
        (["--image=mine.png"], "--image and --label go together"),
        (["--image=mine.png", "--label=10"], "--label: got 10, expected 0 to 9"),
        (["--image=none.png", "--label=1"], "none.png is not a picture that can be read"),
        (["--image=mine.png", "--label=1"], "mine.png has 4×3 pixels: it must be square"),
    ],
)
def test_a_mistake_ends_in_one_line_with_code_2(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (4, 3)).save("mine.png")
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--out=out.png"])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("python -m demo.stability: ") and line in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
