"""Rotated MNIST: from an archive on a server to the splits, and every way in which that fails."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST

from g_selfatt import datasets
from g_selfatt.datasets import DataError, MNIST_rot
from g_selfatt.datasets.mnist_rot import MD5, TEST_FILE, TRAIN_FILE, URL

ARCHIVE = "mnist_rotation_new.zip"


@pytest.fixture(autouse=True)
def no_mnist(monkeypatch):
    """Nothing to regenerate the images from: test_rotmnist_from_mnist.py has that."""
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:1/"])


SHARES = {"train": 10, "valid": 4, "test": 6}


def make_rows(images: np.ndarray, labels: np.ndarray) -> str:
    """Write rows as the archive has them: pixels column by column in [0, 1), then the label."""
    lines = []
    for image, label in zip(images, labels, strict=True):
        numbers = [image[row, col] / 256 for col in range(28) for row in range(28)]
        lines.append("".join(f"   {number:.7e}" for number in [*numbers, float(label)]))
    return "\n".join(lines) + "\n"


def make_zip(train: str, test: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(TRAIN_FILE, train)
        archive.writestr(TEST_FILE, test)
    return file.getvalue()


@pytest.fixture
def pixels(rng):
    """Upright images and labels of every split, as the processed file names them."""
    arrays = {}
    for split, count in SHARES.items():
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{split}"] = rng.integers(0, 10, count, dtype=np.uint8)
    return arrays


@pytest.fixture
def archive(pixels):
    images = np.concatenate([pixels["x_train"], pixels["x_valid"]])
    labels = np.concatenate([pixels["y_train"], pixels["y_valid"]])
    return make_zip(make_rows(images, labels), make_rows(pixels["x_test"], pixels["y_test"]))


@pytest.fixture
def fetch(site, tmp_path):
    """Serve an archive and read it, under its own md5 unless another is given."""

    def read(body: bytes | None, md5: str | None = None, **options):
        if body is not None:
            site.files[ARCHIVE] = body
        md5 = md5 or hashlib.md5(body or b"").hexdigest()
        url = f"{site.url}/{ARCHIVE}"
        return MNIST_rot(tmp_path, url=url, md5=md5, num_validation=SHARES["valid"], **options)

    return read


def put_processed(root: Path, **arrays) -> Path:
    path = root / "MNIST_rot" / "processed" / "rotmnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    return path


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def check_same(source, pixels) -> None:
    for split, name in (
        (source.train, "train"),
        (source.validation, "valid"),
        (source.test, "test"),
    ):
        np.testing.assert_array_equal(split.images[:, 0].numpy(), pixels[f"x_{name}"])
        np.testing.assert_array_equal(split.labels.numpy(), pixels[f"y_{name}"])


def test_archive_is_downloaded_verified_parsed_and_kept(site, tmp_path, fetch, archive, pixels):
    source = fetch(archive)
    check_same(source, pixels)
    assert source.facts["provenance"].startswith(f"{site.url}/{ARCHIVE} (md5 ")
    kept = tmp_path / "MNIST_rot" / "processed" / "rotmnist.npz"
    with np.load(kept, allow_pickle=False) as file:
        assert set(file.files) == {*pixels, "provenance"}
        for name, array in pixels.items():
            assert file[name].dtype == np.uint8
            np.testing.assert_array_equal(file[name], array)
    assert sorted(files_in(tmp_path)) == [kept, tmp_path / "MNIST_rot" / "raw" / ARCHIVE]

    asked = len(site.requests)
    again = fetch(archive)
    check_same(again, pixels)
    assert again.facts["provenance"] == source.facts["provenance"]
    assert len(site.requests) == asked


def test_pixel_is_256_times_the_value_rounded_and_clipped(fetch):
    values = np.zeros(785)
    values[[0, 1, 2, 3]] = 1.0, 0.5, 100.4 / 256, 100.6 / 256
    row = " ".join(str(value) for value in values) + "\n"
    images = fetch(make_zip(row * 5, row)).test.images[0, 0]
    # down the first column
    assert images[:5, 0].tolist() == [255, 128, 100, 101, 0]


def test_processed_file_is_used_as_it_is(site, tmp_path, fetch, archive, pixels):
    path = put_processed(tmp_path, **pixels)
    before = path.read_bytes()
    source = fetch(archive)
    check_same(source, pixels)
    assert source.facts["provenance"].startswith("processed file of unknown origin, sha256 ")
    assert site.requests == []
    assert path.read_bytes() == before


def test_provenance_of_the_file_reaches_the_info(tmp_path, pixels):
    put_processed(tmp_path, provenance=np.array(["made", "by hand"]), **pixels)
    splits = datasets.load("MNIST_rot", tmp_path, download=False)
    assert splits.info.provenance == "made by hand"
    assert splits.info.mean == datasets.INFO["rotMNIST"].mean
    check_same(splits, pixels)


def test_archive_that_was_put_there_needs_no_server(site, tmp_path, fetch, archive, pixels):
    path = tmp_path / "MNIST_rot" / "raw" / ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(archive)
    check_same(fetch(archive, download=False), pixels)
    assert site.requests == []


def test_another_md5_is_refused_and_not_kept(tmp_path, fetch, archive, one_line):
    with pytest.raises(DataError) as caught:
        fetch(archive, md5=MD5)
    one_line(caught.value, "truncated or altered", MD5, hashlib.md5(archive).hexdigest(), ARCHIVE)
    assert files_in(tmp_path) == []


def test_a_truncated_download_is_refused_and_not_kept(site, tmp_path, fetch, archive, one_line):
    site.truncate = True
    with pytest.raises(DataError) as caught:
        fetch(archive)
    one_line(caught.value, site.url, tmp_path / "MNIST_rot" / "raw" / ARCHIVE)
    assert files_in(tmp_path) == []


def test_a_tampered_archive_that_was_there_is_refused_and_left(
    site, tmp_path, fetch, archive, one_line
):
    path = tmp_path / "MNIST_rot" / "raw" / ARCHIVE
    path.parent.mkdir(parents=True)
    tampered = archive[:-1] + bytes([archive[-1] ^ 1])
    path.write_bytes(tampered)
    with pytest.raises(DataError) as caught:
        fetch(archive)
    one_line(caught.value, path, "truncated or altered", "delete it", site.url)
    assert files_in(tmp_path) == [path]
    assert path.read_bytes() == tampered
    assert site.requests == []


def test_a_server_without_the_file(site, tmp_path, fetch, one_line):
    with pytest.raises(DataError) as caught:
        fetch(None)
    place = tmp_path / "MNIST_rot" / "raw" / ARCHIVE
    one_line(caught.value, f"{site.url}/{ARCHIVE}", "404", f"put it at {place}")
    assert files_in(tmp_path) == []


def test_no_server(tmp_path, one_line):
    with pytest.raises(DataError) as caught:
        MNIST_rot(tmp_path, url=f"http://127.0.0.1:1/{ARCHIVE}")
    one_line(caught.value, "127.0.0.1:1", "put it at")


def test_missing_and_not_to_be_downloaded(tmp_path, one_line):
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path, download=False)
    one_line(caught.value, tmp_path / "MNIST_rot" / "raw" / ARCHIVE, "missing", URL)
    assert files_in(tmp_path) == []


GOOD = " ".join(["0.5"] * 784) + " 3\n"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (GOOD + "0.5 0.5 3\n", "columns changed"),
        ("0.5 0.5 3\n", "3 numbers, expected 785"),
        (GOOD.replace(" 3\n", " 11\n"), "labels other than 0 to 9"),
        (GOOD.replace(" 3\n", " 2.5\n"), "labels other than 0 to 9"),
        (GOOD.replace("0.5", "1.5", 1), "pixels outside 0 to 1"),
        (GOOD.replace("0.5", "nan", 1), "pixels outside 0 to 1"),
        (GOOD.replace("0.5", "half", 1), "half"),
        (GOOD.replace("0.5", "½", 1), "ascii"),
    ],
)
def test_rows_that_make_no_sense_are_refused(tmp_path, fetch, one_line, bad, problem):
    with pytest.raises(DataError) as caught:
        fetch(make_zip(GOOD * 6, bad))
    one_line(caught.value, ARCHIVE, problem, "delete it")
    assert not (tmp_path / "MNIST_rot" / "processed").exists()


def test_an_archive_of_other_files_is_refused(fetch, one_line):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(DataError) as caught:
        fetch(file.getvalue())
    one_line(caught.value, ARCHIVE, TRAIN_FILE, "delete it")


def test_no_archive_at_all_is_refused(fetch, one_line):
    with pytest.raises(DataError) as caught:
        fetch(b"<html>moved</html>")
    one_line(caught.value, ARCHIVE, "not a zip", "delete it")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("x_test", np.zeros((6, 28, 28), np.float32), "images are float32 (6, 1, 28, 28)"),
        ("x_test", np.zeros((6, 27, 28), np.uint8), "expected uint8 (N, 1, 28, 28)"),
        ("x_test", np.zeros((0, 28, 28), np.uint8), "images are uint8 (0, 1, 28, 28)"),
        ("y_valid", np.zeros(3, np.uint8), "labels are uint8 (3,), expected integers (4,)"),
        ("y_valid", np.zeros(4, np.float32), "labels are float32 (4,)"),
        ("y_train", np.full(10, 10, np.uint8), "labels go from 10 to 10, expected 0 to 9"),
        ("y_train", np.array([None] * 10), "allow_pickle=False"),
        ("y_train", None, "y_train"),
    ],
)
def test_a_processed_file_of_the_wrong_kind_is_refused(
    tmp_path, pixels, one_line, name, value, problem
):
    arrays = pixels | {name: value}
    path = put_processed(
        tmp_path, **{key: array for key, array in arrays.items() if array is not None}
    )
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path)
    one_line(caught.value, path, problem, "delete it")


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_truncated_processed_file_is_refused(tmp_path, pixels, one_line, keep):
    path = put_processed(tmp_path, **pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path)
    one_line(caught.value, path, "delete it")


def test_a_plain_array_in_place_of_the_processed_file_is_refused(tmp_path, one_line):
    path = put_processed(tmp_path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError) as caught:
        datasets.load("rotMNIST", tmp_path)
    one_line(caught.value, path, "delete it")


def test_an_interrupted_download_leaves_nothing(site, tmp_path, fetch, archive, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("g_selfatt.datasets.download._verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(archive)
    assert files_in(tmp_path) == []
