"""A folder of images becomes a data set; what cannot become one is refused in one line."""

import logging
import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from g_selfatt import datasets
from g_selfatt.datasets import folder, image_files
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


def test_the_division_is_the_same_every_time_and_no_image_is_in_two_parts(tmp_path):
    home = tmp_path / "d"
    for name in ("a", "b"):
        (home / name).mkdir(parents=True)
    for index in range(100):
        pixel = np.full((16, 16), index, np.uint8)
        Image.fromarray(pixel).save(home / "ab"[index % 2] / f"{index}.png")
    first, second = (datasets.load("folder", home, image_size=16) for _ in range(2))
    values = [s.images[:, 0, 0, 0] for s in (first.train, first.validation, first.test)]
    assert sorted(torch.cat(values).tolist()) == list(range(100))
    assert torch.equal(first.train.images, second.train.images)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    ink = Image.new("LA", (8, 8), (0, 0))  # black everywhere, to be seen in the upper half only
    ink.paste((0, 255), (0, 0, 8, 4))
    ink.convert("RGBA" if mode == "RGBA" else "LA").save(tmp_path / "ink.png")
    if mode == "P":
        palette = Image.new("P", (8, 8), 1)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.paste(0, (0, 0, 8, 4))
        palette.save(tmp_path / "ink.png", transparency=1)
    pixels = image_files.read_image(str(tmp_path / "ink.png"), 8, 1)
    assert (pixels[:4] == 0).all() and (pixels[4:] == 255).all()


def test_split_folders_are_kept_and_a_missing_validation_is_held_out(tmp_path):
    home = tmp_path / "d"
    make(home / "train"), make(home / "test", count=7)
    splits = datasets.load("folder", home, image_size=16)
    assert len(splits.train) + len(splits.validation) == 60 and len(splits.test) == 21
    assert splits.validation.labels.bincount().tolist() == [4, 3, 4] or len(splits.validation) == 11
    make(home / "val", count=2)
    splits = datasets.load("folder", home, image_size=16)
    assert (len(splits.train), len(splits.validation)) == (60, 6)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "PNG", "jpeg"])
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


def test_the_short_side_is_resized_and_the_middle_kept(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # the middle square
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = image_files.read_image(str(tmp_path / "wide.png"), 16, 3)
    assert image.shape == (16, 16, 3) and image.min() > 190


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


def test_the_images_of_every_class_are_counted(tmp_path, caplog):
    home = make(tmp_path / "d", ("blue", "red"), count=8)
    make(home, ("green",), count=84)
    with caplog.at_level(logging.INFO):
        datasets.load("folder", home, image_size=16)
    assert "58 green" in caplog.text


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


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_as_their_camera_says(orientation, suffix, tmp_path, rng):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    photo.save(tmp_path / f"photo.{suffix}", exif=exif)
    photo.save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = image_files.read_image(str(tmp_path / f"photo.{suffix}"), 6, 3)
    np.testing.assert_array_equal(pixels, upright)


def test_a_photo_whose_exif_is_cut_off(tmp_path):
    Image.new("L", (6, 6), 9).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0")
    assert (image_files.read_image(str(tmp_path / "photo.png"), 6, 1) == 9).all()


def test_a_photo_with_odd_exif(tmp_path):
    size = (0x0100, 2, 4, b"wide")  # the width, as text
    turned = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
    entries = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in (size, turned))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    photo = Image.new("RGB", (6, 6))
    photo.paste((255, 0, 0), (0, 0, 6, 3))
    photo.save(tmp_path / "photo.png", exif=exif)
    pixels = image_files.read_image(str(tmp_path / "photo.png"), 6, 3)
    assert (pixels[:, 3:, 0] == 255).all() and (pixels[:, :3] == 0).all()  # the top is right now
