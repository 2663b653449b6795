"""The app in a browser: it draws, turns, reads the answers, and says each mistake in one line.

Chromium comes from the system (Debian's chromium); where there is none, the tests of the page are
skipped, and the last lines of pytest say so.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from demo import style
from demo.app import __main__ as app
from demo.app import answers
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


def draw_a_line(page):
    """Draw a line from top to bottom."""
    page.get_by_role("button", name="Brush").first.click()
    box = page.locator("canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y - 80)
    page.mouse.down()
    page.mouse.move(x, y + 80, steps=8)
    page.mouse.up()


@in_browser
def test_it_answers_draws_and_turns(page, tmp_path):
    network = answers.shipped()["rotMNIST"]
    two, one = ([digit] * len(network) for digit in "21")
    names(page, *two)  # of the example
    draw_a_line(page)
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
def test_a_canvas_that_is_cleared_is_no_mistake(page):
    draw_a_line(page)
    page.get_by_role("button", name="Clear canvas").first.click()
    page.get_by_role("button", name="Take the example").first.click()
    names(page, *["2"] * len(answers.shipped()["rotMNIST"]))
    assert page.locator(".toast-body").count() == 0


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
    channel = page.get_by_label("Channel of the feature maps")
    channel.fill("")
    channel.press("Enter")
    page.get_by_text("Channel: got None, expected 0 to").wait_for()
    channel.fill("0")
    channel.press("Enter")


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


@pytest.mark.parametrize("port", ["-5", "0", "65536"])
def test_a_port_that_there_is_not_is_one_line(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        app.main(["--port", port])
    assert f"--port: got {port}, expected" in capsys.readouterr().err


def test_a_port_in_use_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit, match="2"):
        port = taken.getsockname()[1]
        app.main(["--port", str(port)])
    assert f"--port: {port} is in use or not allowed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_page_is_asked_without_a_proxy(name, monkeypatch):
    monkeypatch.setattr(os, "environ", {name: "example.org"})
    app.set_environment("uploads")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    monkeypatch.setattr(os, "environ", {})
    app.set_environment("uploads")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "127.0.0.1,localhost"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uploads_are_removed_at_the_end(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delitem(os.environ, "GRADIO_TEMP_DIR", raising=False)

    def serve(port, in_browser):
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        assert folder.parent == tmp_path
        (folder / "mine.png").touch()
        signal.raise_signal(number)

    monkeypatch.setattr(app, "serve", serve)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Whoever starts the tests in the background has Ctrl-C ignored, and Python inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            app.main([])
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)
    assert not list(tmp_path.iterdir())


def test_no_folder_and_wrong_names_are_mistakes(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        answers.own(str(tmp_path / "none"))
    with pytest.raises(UserError, match="got 1, the network has 10 classes"):
        answers.with_classes(answers.shipped()["rotDigits"]["p4sa"], ["a"])


def test_all_networks_that_are_shipped_have_a_line():
    most = max(len(of_dataset) for of_dataset in answers.shipped().values())
    assert most <= min(len(style.COLOURS), len(style.LINES))
