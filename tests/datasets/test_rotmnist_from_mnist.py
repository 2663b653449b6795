"""rotMNIST regenerated from MNIST: the right images, turned, verified, and named."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from g_selfatt import datasets
from g_selfatt.datasets import DataError, rotmnist_from_mnist
from g_selfatt.datasets.augment import Turns

SIZES = {"train": 6, "valid": 2, "test": 4}
ARCHIVE = "mnist_rotation_new.zip"


@pytest.fixture
def images(rng, monkeypatch):
    """Fifteen images and labels in place of MNIST's 70,000, of which 12 are taken."""
    monkeypatch.setattr(rotmnist_from_mnist, "SIZES", SIZES)
    return rng.integers(0, 256, (15, 28, 28), dtype=np.uint8), np.arange(15) % 10


@pytest.fixture
def mnist(site, images, monkeypatch, tmp_path):
    """The files of MNIST on the server, the first 10 images for training."""
    resources = []
    for part, where in (("train", slice(10)), ("t10k", slice(10, None))):
        for kind, array in zip(("images-idx3", "labels-idx1"), images, strict=True):
            array = array[where].astype(np.uint8)
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            name = f"{part}-{kind}-ubyte.gz"
            site.files[name] = gzip.compress(head + array.tobytes())
            resources.append((name, hashlib.md5(site.files[name]).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [f"{site.url}/"])
    return rotmnist_from_mnist.digest(rotmnist_from_mnist.regenerate(*images))


@pytest.fixture
def verified(mnist, monkeypatch):
    """As if the digest of the small regeneration were the one expected."""
    monkeypatch.setattr(rotmnist_from_mnist, "SHA256", mnist)


def read(site, root):
    return datasets.MNIST_rot(root, url=f"{site.url}/{ARCHIVE}")


def test_the_images_are_those_of_the_permutation_turned_by_their_angles(images):
    arrays = rotmnist_from_mnist.regenerate(*images)
    order = np.random.default_rng(2007).permutation(15)[:12]
    angles = np.random.default_rng(0).uniform(0, 360, 12)
    labels = np.concatenate([arrays[f"y_{split}"] for split in SIZES])
    assert labels.tolist() == images[1][order].tolist()
    turned = np.concatenate([arrays[f"x_{split}"] for split in SIZES])
    assert turned.dtype == np.uint8
    # torch's bilinear turn, which is the same but for the way it ends at the border
    expected = Turns()(
        torch.from_numpy(images[0][order])[:, None], torch.tensor(angles, dtype=torch.float32)
    )
    y, x = np.mgrid[:28, :28] - 13.5
    inside = x**2 + y**2 < 13**2
    difference = np.abs(expected[:, 0].numpy().astype(int) - turned)[:, inside]
    assert difference.max() <= 1


def test_without_the_archive_it_is_made_from_mnist(site, tmp_path, verified, images, caplog):
    source = read(site, tmp_path)
    assert [len(split) for split in source[:3]] == list(SIZES.values())
    arrays = rotmnist_from_mnist.regenerate(*images)
    np.testing.assert_array_equal(source.test.images[:, 0].numpy(), arrays["x_test"])
    assert "404" in caplog.text and "regenerating the images from MNIST" in caplog.text
    asked = len(site.requests)
    again = read(site, tmp_path)
    assert len(site.requests) == asked
    assert torch.equal(again.train.images, source.train.images)


def test_the_same_pixels_have_the_same_name_whoever_made_the_file(site, tmp_path, verified, images):
    path = tmp_path / rotmnist_from_mnist.PROCESSED
    path.parent.mkdir(parents=True)
    arrays = rotmnist_from_mnist.regenerate(*images)
    np.savez(path, **arrays)
    assert datasets.load("rotMNIST", tmp_path).info.provenance == rotmnist_from_mnist.PROVENANCE
    arrays["x_test"][0, 14, 14] ^= 1
    np.savez(path, **arrays)
    other = datasets.load("rotMNIST", tmp_path).info.provenance
    assert other.startswith("processed file of unknown origin, sha256 ")


def test_other_pixels_than_expected_are_refused_and_not_kept(site, tmp_path, mnist, one_line):
    with pytest.raises(DataError) as caught:
        read(site, tmp_path)
    one_line(caught.value, "404", f"sha256 {mnist}, expected c7143ac5", "NumPy or SciPy")
    assert not (tmp_path / rotmnist_from_mnist.PROCESSED).exists()


def test_a_damaged_archive_is_for_the_user_to_replace(site, tmp_path, verified, one_line):
    archive = tmp_path / "MNIST_rot" / "raw" / ARCHIVE
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"half of it")
    with pytest.raises(DataError) as caught:
        read(site, tmp_path)
    one_line(caught.value, archive, "truncated or altered")
    assert site.requests == []


def test_the_command(site, tmp_path, verified, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["rotmnist_from_mnist", f"--root={tmp_path}"])
    assert rotmnist_from_mnist.main() == 0
    assert "regenerated from MNIST" in capsys.readouterr().out
    assert rotmnist_from_mnist.main() == 0
    assert "already there" in capsys.readouterr().out
    (tmp_path / rotmnist_from_mnist.PROCESSED).unlink()
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"")
    assert rotmnist_from_mnist.main() == 2
    assert "MNIST cannot be read" in capsys.readouterr().err


def test_upright_mnist_is_upright_but_for_the_test_images(images, mnist, verified, tmp_path):
    splits = datasets.load("uprightMNIST", root=tmp_path)
    order = np.random.default_rng(2007).permutation(15)[:12]
    for split, part in ((splits.train, order[:6]), (splits.validation, order[6:8])):
        assert torch.equal(split.images[:, 0], torch.from_numpy(images[0][part]))
        assert torch.equal(split.labels, torch.from_numpy(images[1][part]))
    turned = rotmnist_from_mnist.regenerate(*images)
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(turned["x_test"]))
    assert torch.equal(splits.test.labels, torch.from_numpy(images[1][order[8:]]))


def test_upright_mnist_of_other_pixels_is_refused(mnist, tmp_path):
    with pytest.raises(DataError, match="the images regenerated from MNIST have sha256"):
        datasets.load("uprightMNIST", root=tmp_path)
