"""Every recipe and command line of runs/ is run in its smoke form on a few real files."""

import hashlib
import pickle
import re
import shlex
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

import main
from g_selfatt import datasets
from g_selfatt.datasets import rotmnist_from_mnist
from runs.results import recipes
from training import command_line, confusion, curves, settings

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "runs" / "README.md").read_text()
RECIPES = re.findall(r"`python main\.py (--config=[^`\n]+)`", TEXT)
WRITTEN_OUT = re.findall(r"^python main\.py (--config\.dataset .+)", TEXT, re.MULTILINE)
FILES = [REPOSITORY / "runs" / f"{recipe}.py" for recipe in recipes()]


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A few images of every data set, in the files that their loaders read."""
    rng = np.random.default_rng(0)

    def pixels(*shape):
        return rng.integers(0, 256, shape, dtype=np.uint8)

    processed = tmp_path / "MNIST_rot" / "processed"
    processed.mkdir(parents=True)
    parts = {f"x_{part}": pixels(4, 28, 28) for part in ("train", "valid", "test")}
    parts |= {f"y_{part}": np.arange(4, dtype=np.uint8) for part in ("train", "valid", "test")}
    np.savez(processed / "rotmnist.npz", **parts)

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = pixels(12, 28, 28), np.arange(12, dtype=np.uint8) % 10
    for part, where in (("train", slice(8)), ("t10k", slice(8, None))):
        for kind, array in (("images-idx3", images[where]), ("labels-idx1", labels[where])):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    monkeypatch.setattr(rotmnist_from_mnist, "SIZES", dict.fromkeys(("train", "valid", "test"), 4))
    digest = rotmnist_from_mnist.digest(rotmnist_from_mnist.regenerate(images, labels))
    monkeypatch.setattr(rotmnist_from_mnist, "SHA256", digest)

    batches = tmp_path / CIFAR10.base_folder
    batches.mkdir()
    md5 = {}
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch", "batches.meta"]:
        content = {"data": pixels(2, 3 * 32 * 32), "labels": [0, 1], "label_names": ["a", "b"]}
        (batches / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((batches / name).read_bytes()).hexdigest()
    # torchvision verifies the official files; the files here are others.
    train = [[name, digest] for name, digest in md5.items() if name.startswith("data")]
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setitem(datasets.INFO, "CIFAR10", replace(datasets.INFO["CIFAR10"], held_out=5))

    for part in ("train", "valid", "test"):
        for label in ("no_tumor", "tumor"):
            folder = tmp_path / "PCam" / part / label
            folder.mkdir(parents=True)
            Image.fromarray(pixels(96, 96, 3)).save(folder / f"{label}.png")
    return tmp_path


def test_every_file_has_its_row_and_names_its_command():
    for path in FILES:
        command = re.search(r"^Command: python main\.py (.+)$", path.read_text(), re.MULTILINE)[1]
        assert command in RECIPES, path
        assert f"runs/{path.name}" in command
    assert {re.search(r"runs/(\w+\.py)", recipe)[1] for recipe in RECIPES} == {
        path.name for path in FILES
    }


def test_the_rows_of_the_paper_are_all_there():
    papers, windows = {}, set()
    for recipe in RECIPES:
        config = settings.resolve(command_line.parse([recipe]))
        if "window" in recipe:
            local = config.attention_type == "Local"
            windows.add(config.patch_size if local else "global")
        elif not re.search("_long|_fast|convnet|coatnet", recipe):
            papers.setdefault(config.dataset, set()).add(config.model)
    assert papers["rotMNIST"] == {"z2sa", "p4sa", "p8sa", "p12sa", "p16sa", "z2cnn"}
    assert papers["CIFAR10"] == {"z2sa", "mz2sa"}
    assert papers["PCam"] == {"z2sa", "p4sa", "p8sa", "p4msa"}
    assert windows == {3, 5, 7, 9, 11, 15, 19, 23, "global"}


@pytest.mark.parametrize("recipe", [*RECIPES, *WRITTEN_OUT])
def test_recipe(recipe, data_dir, capsys, monkeypatch):
    for picture in (curves, confusion):  # to draw them takes longer than most of the runs
        monkeypatch.setattr(picture, "draw", lambda *_: None)
    arguments = [*shlex.split(recipe), "--config.smoke=True", f"--config.data_dir={data_dir}"]
    assert main.main(arguments) == 0
    assert re.search(r"test accuracy: .*\(\d of 2 images\)", capsys.readouterr().out)


def test_a_window_that_is_no_number_is_refused_in_one_line(capsys):
    assert main.main(["--config=runs/rotmnist_p4sa_window.py:wide"]) == 2
    assert "expected an odd number or global" in capsys.readouterr().err
