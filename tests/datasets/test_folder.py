"""A folder of images becomes a data set; what cannot become one is refused in one line."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from g_selfatt import datasets
from g_selfatt.datasets import folder
from g_selfatt.datasets.errors import DataError
from g_selfatt.datasets.splits import FolderSplit

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def make(home, classes=tuple(COLOURS), count=20, size=(16, 16), suffix="png", grey=False):
    """Images of one colour each, named so that the order of names is not that of classes."""
    for name in classes:
        (home / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = Image.new("RGB", size, COLOURS.get(name, (index, index, index)))
            image = image.convert("L") if grey else image
            image.save(home / name / f"{index:03d}.{suffix}")
    return home


def test_class_folders_are_divided_with_every_class_in_proportion(tmp_path):
    splits = datasets.load("folder", make(tmp_path / "d"), image_size=16)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [42, 9, 9]
    for split, each in ((splits.train, 14), (splits.validation, 3), (splits.test, 3)):
        assert split.labels.bincount().tolist() == [each] * 3
    info = splits.info
    assert (info.classes, info.num_classes) == (("blue", "green", "red"), 3)
    assert (info.image_size, info.in_channels) == (16, 3)
    # A third of the images has 1 in a channel, the others 0.
    assert info.mean == pytest.approx([1 / 3] * 3)
    assert info.std == pytest.approx([2**0.5 / 3] * 3)
    # Labels go with the pixels.
    images, labels = splits.test.images, splits.test.labels
    assert (images.amax((2, 3)).argmax(1) == 2 - labels).all()


def write_values(home, values):
    """Grey images of one brightness each, every other one of class a."""
    for value in values:
        place = home / "ab"[value % 2] / f"{value}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), value).save(place)


def parts_of(home):
    """The brightnesses in the training, validation and test images."""
    splits = datasets.load("folder", home, image_size=16)
    parts = (splits.train, splits.validation, splits.test)
    return [split.images[:, 0, 0, 0].tolist() for split in parts]


@pytest.mark.parametrize(
    "inside, shares, shares_of_more",
    [("", (70, 15, 15), (84, 18, 18)), ("train", (82, 18, 7), (99, 21, 7))],
)
def test_more_images_make_no_training_image_a_test_image(tmp_path, inside, shares, shares_of_more):
    """Of two classes of 100 images each, a few of which change places at the borders."""
    home = tmp_path / "d"
    write_values(home / inside, range(200))
    if inside:
        write_values(home / "test", range(242, 256))
    before = parts_of(home)
    assert parts_of(home) == before
    for part, each in zip(before, shares, strict=True):
        assert np.bincount(np.array(part) % 2).tolist() == [each] * 2
    own = sum(before[: 2 if inside else 3], start=[])
    assert sorted(own) == list(range(200))
    for more, most in ((1, 1), (40, 10)):
        write_values(home / inside, range(200, 200 + more))
        train, validation, test = map(set, parts_of(home))
        assert not set(before[0]) & test
        assert len(set(before[0]) & validation) <= most
    for part, each in zip(parts_of(home), shares_of_more, strict=True):
        assert np.bincount(np.array(part) % 2).tolist() == [each] * 2


def test_split_folders_are_kept_and_a_missing_validation_is_held_out(tmp_path):
    home = tmp_path / "d"
    make(home / "train"), make(home / "test", count=7)
    splits = datasets.load("folder", home, image_size=16)
    parts = (splits.train, splits.validation, splits.test)
    assert [split.labels.bincount().tolist() for split in parts] == [[16] * 3, [4] * 3, [7] * 3]
    make(home / "val", count=2)
    splits = datasets.load("folder", home, image_size=16)
    assert (len(splits.train), len(splits.validation)) == (60, 6)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "tiff", "webp", "bmp", "PNG", "jpeg"])
def test_formats(tmp_path, suffix):
    home = make(tmp_path / "d", count=8, suffix=suffix)
    (home / "red" / "notes.txt").write_text("no image")
    images = datasets.load("folder", home, image_size=16).train.images
    assert images.amax((2, 3)).sort(1).values[:, 2].min() > 240  # red, green and blue survive


def test_grey_images_have_one_channel_and_one_in_colour_makes_all_of_them_colour(tmp_path):
    home = make(tmp_path / "d", grey=True)
    assert datasets.load("folder", home, image_size=16).info.in_channels == 1
    Image.new("RGB", (16, 16)).save(home / "red" / "new.png")
    assert datasets.load("folder", home, image_size=16).info.in_channels == 3


def test_files_that_do_not_fit_in_memory_are_read_when_asked_for(tmp_path, monkeypatch):
    home = make(tmp_path / "d", size=(24, 18))
    kept = datasets.load("folder", home, image_size=16)
    monkeypatch.setattr(folder, "MEMORY", 0)
    lazy = datasets.load("folder", home, image_size=16)
    assert isinstance(lazy.train, FolderSplit)
    assert lazy.info.mean == pytest.approx(kept.info.mean)
    loaders = [
        datasets.make_loader(s.train, s.info, 8, device="cpu", shuffle=True, seed=1, num_workers=0)
        for s in (kept, lazy)
    ]
    for (x, y), (x_lazy, y_lazy) in zip(*loaders, strict=True):
        assert torch.equal(x, x_lazy) and torch.equal(y, y_lazy)


def test_statistics_are_those_of_all_pixels(tmp_path, rng):
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(10):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            pixels[..., 2] = 77
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    splits = datasets.load("folder", tmp_path, image_size=16)
    pixels = splits.train.images.numpy().astype(np.float64) / 255
    assert splits.info.mean == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-12)
    assert splits.info.std == pytest.approx([*pixels.std((0, 2, 3))[:2], 1], rel=1e-12)


def test_other_pixels_in_files_of_the_same_names_and_sizes_are_other_images(tmp_path):
    file = make(tmp_path / "d", suffix="tif") / "red" / "003.tif"
    before, size = datasets.load("folder", tmp_path / "d", image_size=16).info, file.stat().st_size
    assert datasets.load("folder", tmp_path / "d", image_size=16).info == before
    Image.new("RGB", (16, 16), (250, 0, 0)).save(file)
    assert file.stat().st_size == size
    after = datasets.load("folder", tmp_path / "d", image_size=16).info
    assert after.fingerprint != before.fingerprint


def test_classes_whose_names_only_contain_such_words(tmp_path):
    home = make(tmp_path / "d", ("oval", "test", "trainer"))
    assert datasets.load("folder", home, image_size=16).info.num_classes == 3


@pytest.mark.parametrize("counts", [(30, 25, 5), (9, 5, 20), (5, 5, 5), (18, 5, 5)])
def test_every_part_has_an_image_of_every_class(tmp_path, counts):
    for name, count in zip(COLOURS, counts, strict=True):
        make(tmp_path / "d", (name,), count=count)
    splits = datasets.load("folder", tmp_path / "d", image_size=16)
    parts = [s.labels.bincount(minlength=3) for s in (splits.train, splits.validation, splits.test)]
    assert all(part.min() > 0 for part in parts) and (parts[0] >= parts[1]).all()
    assert sum(parts).tolist() == list(counts)


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    home = make(tmp_path / "d")
    make(home / "red", (".ipynb_checkpoints", "__MACOSX"), count=3)
    make(home, ("__MACOSX", ".git"), count=3)
    make(home / "red", ("more",), count=2)  # a folder of the user's
    (home / "red" / "._000.png").write_bytes(b"no image")
    splits = datasets.load("folder", home, image_size=16)
    assert splits.info.classes == ("blue", "green", "red")
    assert sum(len(s) for s in (splits.train, splits.validation, splits.test)) == 62


def test_links_that_lead_back_are_not_followed(tmp_path):
    home = make(tmp_path / "d")
    (home / "red" / "again").symlink_to(home / "red")
    splits = datasets.load("folder", home, image_size=16)
    assert sum(len(s) for s in (splits.train, splits.validation, splits.test)) == 60


def test_the_images_of_every_class_are_counted_before_they_are_decoded(tmp_path, caplog):
    home = make(tmp_path / "d", ("blue", "red"), count=8)
    (make(home, ("green",), count=84) / "green" / "003.png").write_bytes(b"no image")
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match="003.png cannot be read"):
        datasets.load("folder", home, image_size=16)
    assert "6 blue, 58 green, 6 red" in caplog.text


def empty_class(home):
    make(home), (home / "void").mkdir()


def broken_file(home):
    make(home)
    (home / "red" / "003.png").write_bytes(b"no image at all")


def sixteen_bits(home):
    make(home)
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(home / "red" / "003.png")


def other_classes(home):
    make(home / "train"), make(home / "test", ("blue", "red"))


def no_test(home):
    make(home / "train")


def kaggle(home):
    make(home / "Training", count=9), make(home / "Test", count=9)


def sets(home):
    make(home / "training_set", count=9), make(home / "test_set", count=9)


def another_split(home):
    for name in ("train", "test", "dev", "Val"):
        make(home / name, count=9)
    make(home / "notes", ("pictures",))


def two_spellings(home):
    for name in ("train", "test", "val", "valid"):
        make(home / name, count=9)


def few(home):
    make(home, count=4)


def one_class(home):
    make(home, ("red",))


def nothing(home):
    home.mkdir()


@pytest.mark.parametrize(
    "make_folder, words",
    [
        (empty_class, ("void holds no image",)),
        (broken_file, ("003.png cannot be read", "replace it")),
        (sixteen_bits, ("003.png cannot be read", "expected 8 bits a channel")),
        (other_classes, ("test has the classes blue, red", "train has blue, green, red")),
        (no_test, ("has a folder train, but no folder test", "a class of that name needs another")),
        (sets, ("has the folders test_set, training_set, which look like splits",)),
        (another_split, ("has test, train; Val, dev would be left out", "call the folder of val")),
        (two_spellings, ("has test, train, valid; val would be left out",)),
        (few, ("blue (4), green (4), red (4)", "at least 5")),
        (kaggle, ("has the folders Test, Training, which look like splits: call them train",)),
        (one_class, ("1 class folder, expected at least 2",)),
        (nothing, ("has no class folders",)),
        (lambda home: None, ("is no folder", "--config.data_dir=DIR")),
    ],
)
def test_what_cannot_be_a_data_set_is_refused_in_one_line(tmp_path, make_folder, words):
    make_folder(tmp_path / "d")
    with pytest.raises(DataError) as error:
        datasets.load("folder", tmp_path / "d", image_size=16)
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message
