"""Files that claim what they do not hold, or cannot be read: one line each, in bounded memory."""

from __future__ import annotations

import io
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from g_selfatt import datasets
from g_selfatt.datasets import DataError, splits
from g_selfatt.datasets.pcam import convert

SHAPE = (96, 96, 3)


@pytest.fixture
def pcam(tmp_path):
    """Two images a class and split; gives the folder of the training images."""
    for split in ("train", "valid", "test"):
        for name in ("no_tumor", "tumor"):
            folder = tmp_path / "PCam" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", SHAPE[:2], (number, 2, 3)).save(folder / f"{name}{number}.png")
    return tmp_path / "PCam" / "train"


@pytest.fixture
def waits(monkeypatch):
    monkeypatch.setattr(splits, "WAITS", (0.0, 0.0))


def test_a_decompression_bomb_is_refused(pcam, one_line, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    split = datasets.load("PCam", pcam.parents[1]).train
    with pytest.raises(DataError) as caught:
        split[0]
    one_line(caught.value, "no_tumor0.png cannot be read", "exceeds limit", "replace it")


def test_sixteen_bits_are_not_turned_white(pcam, one_line):
    file = pcam / "tumor" / "tumor0.png"
    Image.fromarray(np.full(SHAPE[:2], 40_000, np.uint16)).save(file)
    split = datasets.load("PCam", pcam.parents[1]).train
    with pytest.raises(DataError) as caught:
        [split[index] for index in range(len(split))]
    one_line(caught.value, file, "expected 8 bits a channel")


def test_an_unreadable_image_is_tried_three_times(pcam, one_line, waits, monkeypatch):
    tries = []

    def failing(path):
        tries.append(path)
        raise OSError("Input/output error")

    split = datasets.load("PCam", pcam.parents[1]).train
    object.__setattr__(split, "read", failing)
    with pytest.raises(DataError) as caught:
        split[0]
    one_line(caught.value, "no_tumor0.png cannot be read", "Input/output error")
    assert len(tries) == 3


def test_an_image_that_can_be_read_at_the_second_try_is(pcam, waits):
    split = datasets.load("PCam", pcam.parents[1]).train
    read, tries = split.read, []

    def failing_once(path):
        tries.append(path)
        if len(tries) == 1:
            raise OSError("Stale file handle")
        return read(path)

    object.__setattr__(split, "read", failing_once)
    assert split[0][0].shape == (3, 96, 96)


def put(folder, **changes):
    """The six h5 files, some of them changed: from a name to what it holds instead."""
    for split in ("train", "valid", "test"):
        contents = {"x": np.zeros((4, *SHAPE), np.uint8), "y": np.zeros((4, 1, 1, 1), np.uint8)}
        for key, content in {**contents, **(changes if split == "train" else {})}.items():
            with h5py.File(folder / f"camelyonpatch_level_2_split_{split}_{key}.h5", "w") as file:
                if content is None:
                    file.create_group(key)
                else:
                    file[key] = content


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None}, "train_x.h5 cannot be read (x is not an array of one row or more)"),
        ({"y": None}, "train_y.h5 cannot be read (y is not an array of one row or more)"),
        ({"y": np.uint8(1)}, "train_y.h5 cannot be read (y is not an array of one row or more)"),
        ({"x": np.zeros((0, *SHAPE), np.uint8), "y": np.zeros(0, np.uint8)}, "of one row or more"),
    ],
    ids=["group of images", "group of labels", "scalar labels", "no images"],
)
def test_h5_files_that_hold_no_images_are_refused(tmp_path, changes, words, one_line):
    put(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        convert(tmp_path, tmp_path / "data")
    one_line(caught.value, words, "get it again")
    assert not (tmp_path / "data").exists()


def npz(path, **members: bytes):
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def test_an_npz_header_of_784_terabytes_is_refused(tmp_path, one_line):
    head = io.BytesIO()
    shape = (10**12, 28, 28)
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    path = tmp_path / "MNIST_rot" / "processed" / "rotmnist.npz"
    npz(path, x_train=head.getvalue())
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path)
    one_line(caught.value, path, "cannot be read", "delete it")


def test_an_npz_that_inflates_without_end_is_refused_before_it_is_read(
    tmp_path, one_line, monkeypatch
):
    monkeypatch.setattr("g_selfatt.datasets.mnist_rot.LARGEST", 1_000)
    path = tmp_path / "MNIST_rot" / "processed" / "rotmnist.npz"
    npz(path, x_train=bytes(1_001))
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path)
    one_line(caught.value, path, "an array of 1,001 bytes, expected at most 1,000")
