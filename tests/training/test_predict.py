"""Predictions are those of the network on images prepared as in training, in any batch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from g_selfatt import datasets, models
from training import prediction
from training.attention_pictures import picture_names
from training.errors import UserError
from training.evaluation import PIXELS
from training.predict import main
from training.prediction import load_network, predict

SHIPPED = "rotDigits-p4sa*"
ROOT = Path(__file__).parents[2]


def command(*arguments):
    """Run `python -m training.predict` in this process; gives the exit code."""
    return main(list(map(str, arguments)))


@pytest.fixture
def digits(tmp_path):
    """The first test images of rotDigits as files, and their labels."""
    test = datasets.load("rotDigits").test.head(70)
    folder = tmp_path / "digits"
    folder.mkdir()
    for index, image in enumerate(test.images):
        Image.fromarray(image[0].numpy()).save(folder / f"{index:02d}.png")
    return folder, test


def test_probabilities_are_those_of_the_network_on_the_loader_s_batches(digits, monkeypatch):
    folder, test = digits
    monkeypatch.setitem(PIXELS, "cpu", 64 * 12**2)  # two batches
    network = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    info = datasets.INFO["rotDigits"]
    loader = datasets.make_loader(test, info, 7, device="cpu", shuffle=False, seed=0)
    with torch.no_grad():
        expected = torch.cat([network(x).softmax(1) for x, _ in loader])
    found = predict(network.pretrained_config["name"], folder)
    got = torch.tensor([[one.probabilities[str(c)] for c in range(10)] for one in found])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    right = sum(one.label == str(int(y)) for one, y in zip(found, test.labels, strict=True))
    assert right > 0.8 * len(test)
    assert [one.file.name for one in found] == [f"{i:02d}.png" for i in range(70)]


def test_the_command_prints_a_line_each_and_writes_all_probabilities(digits, tmp_path, capsys):
    folder, _ = digits
    table = tmp_path / "out.csv"
    arguments = [SHIPPED, folder / "03.png", folder / "05.png", "--top", 2, "--csv", table]
    assert command(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"{folder / '03.png'}: ")
    assert lines[0].count("%") == 2
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 and list(rows[0]) == ["file", "class", *map(str, range(10))]
    assert sum(float(rows[0][str(c)]) for c in range(10)) == pytest.approx(1, abs=1e-5)
    assert rows[0]["class"] in lines[0]


def test_a_file_that_is_no_image_is_named_and_all_others_are_predicted(digits, tmp_path, capsys):
    folder, _ = digits
    (folder / "05.png").write_text("no image")
    odd = folder / os.fsdecode(b"\xff.png")  # a name that is not UTF-8
    Image.new("L", (12, 12)).save(odd)
    table = tmp_path / "out.csv"
    assert command(SHIPPED, folder, odd, "--csv", table) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and f"{folder / '05.png'} cannot be read" in said.err
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == len(said.out.splitlines()) == 70
    assert rows[-1]["file"] == f"{folder}/\\udcff.png"


@pytest.mark.parametrize(
    "weights, batches", [(SHIPPED, [33]), ("rotMNIST-z2cnn*", [32, 1]), ("CIFAR10-*", [24, 9])]
)
def test_larger_images_are_fewer_in_a_batch(tmp_path, weights, batches):
    """As in an evaluation on a CPU: of 12×12, 28×28 and 32×32 pixels."""
    files = [tmp_path / f"{index}.png" for index in range(33)]
    for file in files:
        Image.new("L", (9, 9)).save(file)
    found = prediction.predict_batches(load_network(weights), files)
    assert [len(x) for x, _ in found] == batches


def test_the_end_of_memory_is_one_line(digits, capsys):
    def take_all(module, inputs):
        torch.empty(2**60)

    hook = nn.modules.module.register_module_forward_pre_hook(take_all)
    try:
        assert command(SHIPPED, digits[0] / "03.png") == 2
    finally:
        hook.remove()
    said = capsys.readouterr().err
    assert said.startswith("out of memory: ") and said.count("\n") == 1


def test_what_is_predicted_before_an_interruption_is_kept(digits, tmp_path, capsys, monkeypatch):
    folder, _ = digits
    table, read = tmp_path / "out.csv", prediction.read_image

    def interrupted(file, *arguments):
        if file.endswith("68.png"):
            raise KeyboardInterrupt
        return read(file, *arguments)

    monkeypatch.setattr(prediction, "read_image", interrupted)
    monkeypatch.setitem(PIXELS, "cpu", 64 * 12**2)
    assert command(SHIPPED, folder, "--csv", table) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert len(list(csv.DictReader(table.open()))) == 64


def test_a_reader_that_has_seen_enough_is_no_error(digits):
    line = [sys.executable, "-m", "training.predict", SHIPPED, str(digits[0])]
    with subprocess.Popen(
        line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait() == 0 and process.stderr.read() == b""


def test_a_run_of_ones_own_is_named_by_its_folder(run, configure, tmp_path):
    results = run("epochs=1", "backend=recompute")
    (folder,) = (tmp_path / "saved").iterdir()
    Image.new("L", (30, 20), 100).save(tmp_path / "one.png")
    network = load_network(folder)  # that of the training need not run here
    assert {m.backend for m in network.modules() if hasattr(m, "backend")} == {"auto"}
    (one,) = predict(folder, tmp_path / "one.png")
    assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]) == results


@pytest.mark.parametrize(
    "weights, image, words",
    [
        ("nothing", "ok.png", ("nothing is no run folder", "rotDigits-p4sa")),
        (SHIPPED, "missing.png", ("missing.png", "no such file")),
        (SHIPPED, "broken.png", ("broken.png cannot be read",)),
        (SHIPPED, "empty", ("empty holds no image",)),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, capsys, weights, image, words):
    Image.new("L", (12, 12)).save(tmp_path / "ok.png")
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    assert command(weights, tmp_path / image) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(word in error for word in words), error


def test_a_number_of_classes_below_one_is_refused(capsys):
    assert command(SHIPPED, "any.png", "--top", "0") == 2
    assert capsys.readouterr().err == "--top: got 0, expected at least 1\n"


def test_a_table_is_not_written_over_an_image(capsys, tmp_path):
    Image.new("L", (12, 12)).save(tmp_path / "one.png")
    before = (tmp_path / "one.png").read_bytes()
    assert command(SHIPPED, tmp_path / "one.png", "--csv", tmp_path / "one.png") == 2
    assert "one.png is the name of an image" in capsys.readouterr().err
    assert (tmp_path / "one.png").read_bytes() == before


def test_pictures_do_not_go_among_the_images(capsys, tmp_path):
    Image.new("L", (12, 12)).save(tmp_path / "one.png")
    assert command(SHIPPED, tmp_path, "--attention", tmp_path / "looks") == 2
    assert "looks is inside" in capsys.readouterr().err and not (tmp_path / "looks").exists()


def test_a_damaged_run_folder_is_one_line(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"12345678")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_network(tmp_path)


def test_attention_is_drawn_for_every_image(digits, tmp_path):
    folder, _ = digits
    maps = tmp_path / "maps"
    assert command(SHIPPED, folder / "03.png", "--attention", maps) == 0
    (picture,) = maps.iterdir()
    assert picture.name == "digits-03.png.png" and Image.open(picture).size[0] > 500


def test_no_two_pictures_have_one_name_and_none_leaves_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [Path(name) for name in ("a/b/x.png", "c/b/x.png", "x.png", "../x.png", "/x.png")]
    names = picture_names(files)
    assert len(set(names.values())) == len(files)
    assert names[files[0]] == "b-x.png.png" and names[files[2]] == f"{tmp_path.name}-x.png.png"
    assert all(Path(name).name == name for name in names.values())


def test_attention_of_a_network_without_it_is_refused_before_the_first_image(
    digits, tmp_path, capsys
):
    folder, _ = digits
    arguments = ["rotDigits-p4convnet*", folder / "03.png", "--attention", tmp_path / "maps"]
    assert command(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and "attention: GroupCoAtNet has no attention layer" in said.err
    assert not (tmp_path / "maps").exists()
