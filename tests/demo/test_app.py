"""The app in a browser: it draws, turns, reads the answers, and says each mistake in one line.

Chromium comes from the system (Debian's chromium); where there is none, the tests of the page are
skipped, and the last lines of pytest say so.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from demo import style
from demo.app import answers
from demo.app.__main__ import main as app_main
from g_selfatt.nn import attention_maps
from training.errors import UserError

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
PATIENCE = 60_000  # ms; the first answer may compile
DIGIT = Image.open(REPOSITORY / "demo" / "digit.png")


@pytest.fixture(scope="module")
def page():
    """The page in a browser, served by the command; afterwards, it asked no other host."""
    sync_api = pytest.importorskip("playwright.sync_api")
    command = [sys.executable, "-m", "demo.app", "--no_browser"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    server = subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes)
    try:
        lines = iter(server.stdout.readline, "")
        address = next(m[0] for line in lines if (m := re.search(r"http://127\.0\.0\.1:\d+", line)))
        with sync_api.sync_playwright() as playwright:
            options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
            browser = playwright.chromium.launch(**options)
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.set_default_timeout(PATIENCE)
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(address)
            yield page
            browser.close()
            assert asked
            assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    finally:
        server.terminate()
        said, _ = server.communicate()
    assert "Exception in thread" not in said


def names(page, *expected):
    """Wait until the networks, from the left, name these classes."""
    from playwright.sync_api import expect

    words = page.get_by_test_id("label-output-value").filter(visible=True)
    expect(words).to_have_text([re.compile(word) for word in expected], timeout=PATIENCE)


def wait_until_gone(page, source):
    """Wait until a picture is no longer among those that are shown."""
    page.wait_for_function(
        "source => [...document.querySelectorAll('img')].filter(i => i.offsetParent)"
        ".every(i => i.getAttribute('src') != source)",
        arg=source,
    )


def upload(page, image, folder):
    """Upload an image."""
    image.save(folder / "mine.png")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload an image").first.click()
    chooser.value.set_files(folder / "mine.png")


@in_browser
def test_it_answers_draws_and_turns(page, tmp_path):
    network = answers.shipped()["rotMNIST"]
    two, one = ([digit] * len(network) for digit in "21")
    names(page, *two)  # of the example
    page.get_by_role("button", name="Brush").first.click()
    box = page.locator("canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y - 80)
    page.mouse.down()
    page.mouse.move(x, y + 80, steps=8)
    page.mouse.up()
    names(page, *one)
    page.get_by_role("button", name="Take the example").first.click()
    names(page, *two)
    upload(page, ImageOps.mirror(DIGIT), tmp_path)
    pixels = answers.prepare(ImageOps.mirror(DIGIT), network["p4sa"])
    upright, turned = (
        [str(int(answers.answer(n, answers.turn(pixels, (a,))).argmax())) for n in network.values()]
        for a in (0, 60)
    )
    assert upright != turned
    names(page, *upright)
    angle = page.get_by_label("number input for Angle, degrees counter-clockwise").first
    angle.fill("60")
    angle.press("Enter")
    names(page, *turned)


@in_browser
def test_a_file_that_is_no_image_is_one_line(page, tmp_path):
    (tmp_path / "letter.png").write_text("no image")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload an image").first.click()
    chooser.value.set_files(tmp_path / "letter.png")
    page.get_by_text("letter.png is no image that can be read").wait_for()


@in_browser
def test_it_looks_inside(page):
    page.get_by_role("tab", name="Look inside").click()
    images = page.locator("img").filter(visible=True)
    images.nth(2).wait_for()
    before = images.nth(2).get_attribute("src")
    images.first.click(position={"x": 90, "y": 90})
    wait_until_gone(page, before)


@in_browser
def test_it_looks_inside_the_image_that_is_turned(page, tmp_path):
    page.get_by_role("tab", name="Look inside").click()
    images = page.locator("img").filter(visible=True)
    images.nth(2).wait_for()
    before = images.first.get_attribute("src")
    page.get_by_role("tab", name="Turn it").click()
    seen = images.first.get_attribute("src")
    upload(page, DIGIT.rotate(90), tmp_path)
    wait_until_gone(page, seen)
    page.get_by_role("tab", name="Look inside").click()
    wait_until_gone(page, before)


@in_browser
def test_own_weights_and_their_mistakes(page, tmp_path):
    page.get_by_role("tab", name="Your weights").click()
    folder = page.get_by_label("Run folder")
    folder.fill(str(tmp_path / "none"))
    folder.press("Enter")
    page.get_by_text(f"{tmp_path / 'none'}: no such run folder").wait_for()
    folder.fill("saved/rotDigits-p4convnet-seed0-e456e4be")
    classes = page.get_by_label("Class names")
    classes.fill("a, b")
    classes.press("Enter")
    page.get_by_text("Class names: got 2, the network has 10 classes").wait_for()
    classes.fill("a, b, c, d, e, f, g, h, i, j")
    classes.press("Enter")
    names(page, "[a-j]")


def test_the_attention_at_a_pixel_is_that_of_the_whole_map():
    """Computed in the window only; at the border too, and after pooling."""
    network = answers.shipped()["rotDigits"]["p4sa"]
    pixels = answers.prepare(DIGIT, network)
    about = network.pretrained_config
    whole = attention_maps(network, (pixels - about["mean"][0]) / about["std"][0])
    layers = answers.attention_layers(network)
    for name, pixel, (row, column) in (
        ("lifting", (0, 11), (0, 11)),
        ("attention 1", (5, 6), (5, 6)),
        ("attention 2", (11, 4), (3, 1)),
    ):
        found = answers.attention_at(network, pixels, layers[name], pixel)
        expected = whole[layers[name]][0, :, :, row, column].unflatten(-1, (5, 5))
        for r in range(found.shape[-2]):
            for c in range(found.shape[-1]):
                inside = abs(r - row) <= 2 and abs(c - column) <= 2
                key = expected[..., r - row + 2, c - column + 2] if inside else torch.zeros(())
                key = key.expand(expected.shape[:2])
                torch.testing.assert_close(found[..., r, c], key)


def test_ink_on_a_transparent_image_is_black_on_white(tmp_path):
    pytest.importorskip("gradio")
    from demo.app.page import read_file

    ink = Image.new("RGBA", (9, 9))
    ink.putpixel((4, 4), (0, 0, 0, 255))
    ink.save(tmp_path / "ink.png")
    image = read_file(str(tmp_path / "ink.png"))
    assert image.getpixel((4, 4)) == (0, 0, 0) and image.getpixel((0, 0)) == (255, 255, 255)


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


@pytest.mark.parametrize("port", ["-5", "0", "65536"])
def test_a_port_that_there_is_not_is_one_line(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        app_main(["--port", port])
    assert f"--port: got {port}, expected" in capsys.readouterr().err


def test_no_folder_and_wrong_names_are_mistakes(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        answers.own(str(tmp_path / "none"))
    with pytest.raises(UserError, match="got 1, the network has 10 classes"):
        answers.with_classes(answers.shipped()["rotDigits"]["p4sa"], ["a"])


def test_all_networks_that_are_shipped_have_a_line():
    most = max(len(of_dataset) for of_dataset in answers.shipped().values())
    assert most <= min(len(style.COLOURS), len(style.LINES))
