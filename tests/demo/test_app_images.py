"""The images of the app: read, centred as those of digits are, and turned."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo.app import answers

DIGIT = Image.open(Path(answers.__file__).parents[1] / "digit.png")


def test_ink_on_a_transparent_image_is_black_on_white(tmp_path):
    pytest.importorskip("gradio")
    from demo.app.page import read_file

    ink = Image.new("RGBA", (9, 9))
    ink.putpixel((4, 4), (0, 0, 0, 255))
    ink.save(tmp_path / "ink.png")
    image = read_file(str(tmp_path / "ink.png"))
    assert image.getpixel((4, 4)) == (0, 0, 0) and image.getpixel((0, 0)) == (255, 255, 255)


def test_a_large_image_is_reduced_and_answered_alike(tmp_path):
    pytest.importorskip("gradio")
    from demo.app.page import read_file

    network = answers.shipped()["rotMNIST"]["p4sa"]
    photo = Image.new("L", (4000, 3000), 230)
    ink = DIGIT.convert("L").resize((1500, 1500), Image.Resampling.BILINEAR)
    photo.paste(20, (1200, 700), ink)
    photo.save(tmp_path / "large.png")
    read = read_file(str(tmp_path / "large.png"))
    assert read.size == (1334, 1000)
    found, expected = (
        answers.answer(network, answers.prepare(image, network)) for image in (read, photo)
    )
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)
    assert found.argmax() == 2


@pytest.mark.parametrize("paper", [150, 180, 200, 255])
def test_ink_on_grey_paper_is_white_on_black(paper):
    network = answers.shipped()["rotMNIST"]["p4sa"]
    photo = paper + np.random.default_rng(0).normal(0, 2, (200, 300))  # not quite even
    photo[30:170, 20:60] = 40
    black_on_white = np.full((200, 300), 255)
    black_on_white[30:170, 20:60] = 0
    found, expected = (
        answers.prepare(Image.fromarray(image.clip(0, 255).astype(np.uint8)), network)
        for image in (photo, black_on_white)
    )
    torch.testing.assert_close(found, expected)


def test_a_digit_that_is_white_on_black_keeps_its_grey():
    network = answers.shipped()["rotMNIST"]["p4sa"]
    digit = np.zeros((20, 20), np.uint8)
    digit[3:17, 8:12] = np.arange(100, 240, 10)[:, None]
    image = np.array(Image.fromarray(digit[3:17, 8:12]))  # as it stands, on a square 14 / 0.7
    expected = np.zeros((20, 20), np.uint8)
    expected[3:17, 8:12] = image
    found = answers.prepare(Image.fromarray(digit), network)
    resized = Image.fromarray(expected).resize((28, 28), Image.Resampling.BICUBIC)
    torch.testing.assert_close(found[0, 0], torch.from_numpy(np.array(resized) / 255).float())


def test_a_digit_is_centred_white_on_black():
    network = answers.shipped()["rotMNIST"]["p4sa"]
    dark_on_light = Image.new("RGB", (300, 200), "white")
    dark_on_light.paste("black", (20, 30, 60, 170))
    pixels = answers.prepare(dark_on_light, network)
    assert pixels.shape == (1, 1, 28, 28)
    torch.testing.assert_close(pixels, pixels.flip(2, 3), atol=0.02, rtol=0)
    assert pixels[0, 0, 14, 14] == 1 and pixels[0, 0, 0].max() == 0


def test_angles_are_counter_clockwise():
    pixels = torch.rand(1, 1, 5, 5)
    turned = answers.turn(pixels, (0, 90, 360))
    assert torch.equal(turned, torch.cat([pixels, pixels.rot90(dims=(2, 3)), pixels]))
