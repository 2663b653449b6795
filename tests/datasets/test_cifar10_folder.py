"""CIFAR-10 from folders of images: pixel for pixel, decoded once, one line for what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from g_selfatt import datasets
from g_selfatt.datasets import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {"train": 3, "test": 2}  # of every class


@pytest.fixture
def images(rng, tmp_path, monkeypatch):
    """Arrays by (split, label, number), each a file under `tmp_path`."""
    monkeypatch.setitem(datasets.INFO, "CIFAR10", replace(datasets.INFO["CIFAR10"], held_out=5))
    images = {}
    for part, count in COUNTS.items():
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "CIFAR10" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
                images[part, label, number] = pixels
    return images


def load(root):
    return datasets.load("CIFAR10", root, download=False)


def test_every_image_is_there_once_under_its_label(images, tmp_path):
    splits = load(tmp_path)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [25, 5, 20]
    expected = {pixels.tobytes(): (part, label) for (part, label, _), pixels in images.items()}
    found = {}
    for part, split in [
        ("train", splits.train),
        ("train", splits.validation),
        ("test", splits.test),
    ]:
        for image, label in zip(split.images, split.labels, strict=True):
            found[image.permute(1, 2, 0).contiguous().numpy().tobytes()] = part, label.item()
    assert found == expected
    assert len(splits.validation.labels.unique()) > 1  # not the end of the alphabet only
    assert splits.info.provenance == "CIFAR-10, folders of PNG files"
    assert splits.info.classes == CLASSES


def test_images_are_decoded_once_and_again_where_they_change(images, tmp_path):
    first = load(tmp_path)
    cache = tmp_path / "CIFAR10" / "images.npz"
    with np.load(cache) as file:
        arrays = dict(file)
    np.savez(cache, **arrays | {"x_test": 255 - arrays["x_test"]})
    np.testing.assert_array_equal(load(tmp_path).test.images, 255 - first.test.images)
    changed = tmp_path / "CIFAR10" / "test" / "ship" / "1.png"
    Image.new("RGB", (32, 32), (1, 2, 3)).save(changed)
    again = load(tmp_path).test.images
    assert (again != first.test.images).flatten(1).any(dim=1).sum() == 1
    assert (again[(again != first.test.images).flatten(1).any(dim=1)][0, :, 0, 0]).tolist() == [
        1,
        2,
        3,
    ]
    cache.write_bytes(cache.read_bytes()[:1000])
    np.testing.assert_array_equal(load(tmp_path).test.images, again)


def test_a_cache_that_cannot_be_written_is_done_without(images, tmp_path, caplog, one_line):
    cache = tmp_path / "CIFAR10" / "images.npz"
    cache.mkdir()
    assert len(load(tmp_path).test) == 20
    (record,) = caplog.records
    one_line(record.getMessage(), cache, "cannot be written", "decoded every time")
    assert {path.name for path in cache.parent.iterdir()} == {"train", "test", "images.npz"}


def test_the_format_is_part_of_the_provenance(images, tmp_path):
    for path in (tmp_path / "CIFAR10").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    assert load(tmp_path).info.provenance == "CIFAR-10, folders of JPEG files"


def test_the_official_files_go_first(images, tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError, match="cifar-10-batches-py"):
        load(tmp_path)


def test_what_is_missing_or_wrong_is_one_line(images, tmp_path, one_line):
    wrong = tmp_path / "CIFAR10" / "train" / "dog" / "2.png"
    Image.new("RGB", (32, 31)).save(wrong)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    one_line(caught.value, wrong, "(31, 32, 3)")
    for path in wrong.parent.iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    one_line(caught.value, wrong.parent, "holds no image")
    wrong.parent.rmdir()
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    one_line(caught.value, wrong.parent, "is missing", "airplane, automobile")
