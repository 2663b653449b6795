"""CIFAR-10 and MNIST: small files of the real formats, downloaded and read by torchvision."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, MNIST

from g_selfatt import datasets
from g_selfatt.datasets import DataError

PER_BATCH = 4


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """Write an array of bytes as MNIST's files do: 0 0 8 rank, the sizes, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def cifar(rng, monkeypatch):
    """The archive and the images and labels in it; torchvision's md5s are those of these files."""
    images = rng.integers(0, 256, (6 * PER_BATCH, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 6 * PER_BATCH)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    files = {
        name: pickle.dumps(
            {
                "data": images[start : start + PER_BATCH].reshape(PER_BATCH, -1),
                "labels": labels[start : start + PER_BATCH].tolist(),
            }
        )
        for name, start in zip(names, range(0, len(images), PER_BATCH), strict=True)
    }
    files["batches.meta"] = pickle.dumps({"label_names": [str(label) for label in range(10)]})
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(files[name])] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(files["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(files["batches.meta"])})
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(body.getvalue()))
    monkeypatch.setitem(datasets.INFO, "CIFAR10", replace(datasets.INFO["CIFAR10"], held_out=5))
    return body.getvalue(), images, labels


@pytest.fixture
def mnist(rng, monkeypatch):
    """The four gzip files by name and the images and labels in them, 12 to train and 5 to test."""
    images = rng.integers(0, 256, (17, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 17, dtype=np.uint8)
    files = {
        f"{part}-{kind}-ubyte.gz": gzip.compress(idx(array[where]))
        for part, where in (("train", slice(12)), ("t10k", slice(12, None)))
        for kind, array in (("images-idx3", images), ("labels-idx1", labels))
    }
    monkeypatch.setattr(MNIST, "resources", [(name, md5(body)) for name, body in files.items()])
    monkeypatch.setitem(datasets.INFO, "MNIST", replace(datasets.INFO["MNIST"], held_out=3))
    return files, images, labels


def put_mnist(root, files) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, body in files.items():
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(body))


def put_cifar(root, body: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        archive.extractall(root, filter="data")


def check_parts(splits, images, labels, *bounds) -> None:
    """Compare train, validation and test with the consecutive parts between the bounds."""
    for split, start, stop in zip(
        (splits.train, splits.validation, splits.test), bounds[:-1], bounds[1:], strict=True
    ):
        np.testing.assert_array_equal(split.images.numpy(), images[start:stop])
        np.testing.assert_array_equal(split.labels.numpy(), labels[start:stop])
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64


def test_cifar10_is_downloaded_once(site, tmp_path, monkeypatch, cifar):
    body, images, labels = cifar
    site.files["cifar-10-python.tar.gz"] = body
    monkeypatch.setattr(CIFAR10, "url", f"{site.url}/cifar-10-python.tar.gz")
    check_parts(datasets.load("cifar10", tmp_path), images, labels, 0, 15, 20, 24)
    asked = len(site.requests)
    check_parts(datasets.load("CIFAR10", tmp_path), images, labels, 0, 15, 20, 24)
    assert len(site.requests) == asked > 0


def test_cifar10_paper_protocol_trains_on_all_and_validates_on_test(tmp_path, cifar):
    body, images, labels = cifar
    put_cifar(tmp_path, body)
    splits = datasets.load("CIFAR10", tmp_path, eval_protocol="paper", download=False)
    np.testing.assert_array_equal(splits.train.images.numpy(), images[:20])
    np.testing.assert_array_equal(splits.test.images.numpy(), images[20:])
    assert splits.validation is splits.test


def test_mnist_is_downloaded_once(site, tmp_path, monkeypatch, mnist):
    files, images, labels = mnist
    site.files |= files
    monkeypatch.setattr(MNIST, "mirrors", [f"{site.url}/"])
    check_parts(datasets.load("mnist", tmp_path), images[:, None], labels, 0, 9, 12, 17)
    asked = len(site.requests)
    check_parts(datasets.load("MNIST", tmp_path), images[:, None], labels, 0, 9, 12, 17)
    assert len(site.requests) == asked > 0


def test_limit_keeps_the_first_images_after_holding_out(tmp_path, mnist):
    files, images, labels = mnist
    put_mnist(tmp_path, files)
    splits = datasets.load("MNIST", tmp_path, limit=2)
    for split, start in ((splits.train, 0), (splits.validation, 9), (splits.test, 12)):
        np.testing.assert_array_equal(split.images[:, 0].numpy(), images[start : start + 2])
    paper = datasets.load("MNIST", tmp_path, limit=2, eval_protocol="paper")
    assert paper.validation is paper.test
    assert len(paper.test) == 2


def test_official_hold_outs():
    held_out = {name: info.held_out for name, info in datasets.INFO.items() if info.held_out}
    assert held_out == {"CIFAR10": 5_000, "MNIST": 10_000}


@pytest.mark.parametrize("name", ["CIFAR10", "MNIST"])
def test_missing_files_give_one_line(tmp_path, one_line, name):
    where = {
        "CIFAR10": (CIFAR10.url, tmp_path / "cifar-10-python.tar.gz"),
        "MNIST": (MNIST.mirrors[0], tmp_path / "MNIST" / "raw", "train-images-idx3-ubyte.gz"),
    }
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path, download=False)
    one_line(caught.value, name, *where[name])


@pytest.mark.parametrize("served", ["nothing", "half", "other bytes"])
@pytest.mark.parametrize("name", ["CIFAR10", "MNIST"])
def test_failing_downloads_give_one_line(
    site, tmp_path, monkeypatch, cifar, mnist, one_line, name, served
):
    monkeypatch.setattr(CIFAR10, "url", f"{site.url}/cifar-10-python.tar.gz")
    monkeypatch.setattr(MNIST, "mirrors", [f"{site.url}/"])
    if served != "nothing":
        site.files |= {"cifar-10-python.tar.gz": cifar[0], **mnist[0]}
    if served == "other bytes":
        site.files = {name: body + b" " for name, body in site.files.items()}
    site.truncate = served == "half"
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path)
    one_line(caught.value, name, site.url, "put", "at")
    assert not (tmp_path / CIFAR10.base_folder).exists()
    assert not (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()

    site.files |= {"cifar-10-python.tar.gz": cifar[0], **mnist[0]}
    site.truncate = False
    assert len(datasets.load(name, tmp_path).test) == {"CIFAR10": 4, "MNIST": 5}[name]


def test_a_truncated_mnist_file_gives_one_line(tmp_path, mnist, one_line):
    put_mnist(tmp_path, mnist[0])
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError) as caught:
        datasets.load("MNIST", tmp_path)
    one_line(caught.value, path.parent, "delete that folder")


def test_a_training_set_too_small_to_hold_out_gives_one_line(
    tmp_path, monkeypatch, mnist, one_line
):
    put_mnist(tmp_path, mnist[0])
    monkeypatch.setitem(datasets.INFO, "MNIST", replace(datasets.INFO["MNIST"], held_out=10_000))
    with pytest.raises(DataError) as caught:
        datasets.load("MNIST", tmp_path)
    one_line(caught.value, "12 training images", "10000")
