"""PCam: from h5 files to folders to batches, pixel for pixel, and every way in which that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from g_selfatt import datasets
from g_selfatt.datasets import DataError
from g_selfatt.datasets.pcam import convert, main
from g_selfatt.datasets.pcam_folder import HOME

REPOSITORY = Path(__file__).parents[2]
SHARES = {"train": 13, "valid": 5, "test": 6}


def h5_path(source: Path, split: str, key: str) -> Path:
    return source / f"camelyonpatch_level_2_split_{split}_{key}.h5"


@pytest.fixture
def arrays(rng):
    return {
        split: (
            rng.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8),
            (np.arange(count) * 7 % 3 == 0).astype(np.uint8),
        )
        for split, count in SHARES.items()
    }


@pytest.fixture
def source(tmp_path, arrays):
    source = tmp_path / "h5"
    source.mkdir()
    for split, (images, labels) in arrays.items():
        with h5py.File(h5_path(source, split, "x"), "w") as file:
            file.create_dataset("x", data=images, chunks=(4, 96, 96, 3), compression="gzip")
        with h5py.File(h5_path(source, split, "y"), "w") as file:
            file["y"] = labels.reshape(-1, 1, 1, 1)
    return source


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def check_same(root: Path, arrays) -> None:
    splits = datasets.load("pcam", root)
    for split, name in (
        (splits.train, "train"),
        (splits.validation, "valid"),
        (splits.test, "test"),
    ):
        images, labels = arrays[name]
        assert len(split) == len(images)
        # in the order of the h5 file, both classes mixed
        for index in range(len(split)):
            image, label = split[index]
            assert image.dtype == torch.uint8
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), images[index])
            assert label == labels[index]


def test_command_builds_the_folders_pixel_for_pixel(source, root, arrays, capsys):
    assert main(["--source", str(source), "--root", str(root)]) == 0
    assert capsys.readouterr().err == ""
    check_same(root, arrays)
    names = {str(path.relative_to(root)) for path in root.glob("*/*/*")}
    assert names == {f"PCam/{split}/{name}" for split in SHARES for name in ("no_tumor", "tumor")}
    first = root / "PCam" / "train" / "tumor" / "000000.png"
    np.testing.assert_array_equal(np.array(Image.open(first)), arrays["train"][0][0])


def test_blocks_smaller_than_a_split_lose_nothing(source, root, arrays, monkeypatch):
    monkeypatch.setattr("g_selfatt.datasets.pcam.BLOCK", 4)
    convert(source, root)
    check_same(root, arrays)


def test_a_split_that_is_there_is_left_alone(source, root, arrays, capsys):
    convert(source, root)
    marked = root / "PCam" / "valid" / "tumor" / "000000.png"
    marked.write_bytes(b"mine")
    for key in "xy":
        h5_path(source, "valid", key).unlink()
    assert main(["--source", str(source), "--root", str(root)]) == 0
    assert f"{root / 'PCam' / 'valid'} is already there" in capsys.readouterr().out
    assert marked.read_bytes() == b"mine"


def test_what_a_killed_run_left_is_not_mixed_in(source, root, arrays):
    left = root / "PCam" / ".train.partial" / "tumor" / "999999.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half an image")
    convert(source, root)
    check_same(root, arrays)
    assert not left.parent.parent.exists()


def damage_missing(source):
    h5_path(source, "test", "y").unlink()
    return "test_y.h5 is missing", f"get it from {HOME}"


def damage_packed(source):
    path = h5_path(source, "test", "x")
    path.rename(f"{path}.gz")
    return "test_x.h5 is missing", f"unpack it with `gunzip {path}.gz`"


def damage_truncated(source):
    path = h5_path(source, "valid", "x")
    path.write_bytes(path.read_bytes()[:-1000])
    return "valid_x.h5 cannot be read", f"get it again from {HOME}"


def damage_key(source):
    with h5py.File(h5_path(source, "valid", "y"), "w") as file:
        file["z"] = np.zeros(5)
    return "valid_y.h5 cannot be read", f"get it again from {HOME}"


def damage_labels(source):
    with h5py.File(h5_path(source, "valid", "y"), "w") as file:
        file["y"] = np.array([0, 1, 2, 0, 1], np.uint8)
    return "the valid files hold", "labels [0 1 2]"


def damage_count(source):
    with h5py.File(h5_path(source, "valid", "y"), "w") as file:
        file["y"] = np.zeros(4, np.uint8)
    return "the valid files hold images uint8 (5, 96, 96, 3)", "expected uint8 (4, 96, 96, 3)"


def damage_type(source):
    with h5py.File(h5_path(source, "valid", "x"), "w") as file:
        file["x"] = np.zeros((5, 96, 96, 3), np.float32)
    return "the valid files hold images float32", "expected uint8"


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_packed,
        damage_truncated,
        damage_key,
        damage_labels,
        damage_count,
        damage_type,
    ],
)
def test_missing_or_damaged_files_are_seen_before_anything_is_built(
    source, root, capsys, one_line, damage
):
    said = damage(source)
    assert main(["--source", str(source), "--root", str(root)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    one_line(output.err.removesuffix("\n"), "error: ", source, *said)
    assert not root.exists()


def test_damage_inside_a_file_leaves_no_half_built_split(source, root, capsys, one_line):
    path = h5_path(source, "train", "x")
    with h5py.File(path) as file:
        chunk = file["x"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    assert main(["--source", str(source), "--root", str(root)]) == 2
    one_line(capsys.readouterr().err.removesuffix("\n"), root / "PCam" / "train", HOME)
    assert list((root / "PCam").iterdir()) == []


def test_exit_code_of_the_command(tmp_path):
    command = [sys.executable, "-m", "g_selfatt.datasets.pcam"]
    command += ["--source", str(tmp_path / "nowhere"), "--root", str(tmp_path / "data")]
    missing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: ")
    assert missing.stderr.count("\n") == 1


def test_missing_folders_name_the_command(root, one_line):
    with pytest.raises(DataError) as caught:
        datasets.load("PCam", root)
    wanted = f"python -m g_selfatt.datasets.pcam --source DIR --root {root}"
    one_line(caught.value, root / "PCam" / "train", wanted, HOME)


def test_other_class_names_are_refused(source, root, one_line):
    convert(source, root)
    (root / "PCam" / "valid" / "tumor").rename(root / "PCam" / "valid" / "cancer")
    for attempt in (lambda: datasets.load("PCam", root), lambda: convert(source, root)):
        with pytest.raises(DataError) as caught:
            attempt()
        one_line(caught.value, root / "PCam" / "valid", "cancer, no_tumor", "no_tumor and tumor")


def test_a_class_without_images_is_refused(source, root, one_line):
    convert(source, root)
    for path in (root / "PCam" / "test" / "tumor").iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        datasets.load("PCam", root)
    one_line(caught.value, root / "PCam" / "test", "tumor")


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("damage", ["no image", "small"])
def test_a_damaged_image_gives_one_line_from_a_worker_too(
    source, root, one_line, num_workers, damage
):
    convert(source, root)
    path = root / "PCam" / "test" / "tumor" / "000003.png"
    if damage == "small":
        Image.new("RGB", (32, 32)).save(path)
    else:
        path.write_bytes(b"no image")
    splits = datasets.load("PCam", root)
    loader = datasets.make_loader(
        splits.test, splits.info, 2, device="cpu", shuffle=False, num_workers=num_workers
    )
    with pytest.raises(DataError) as caught:
        list(loader)
    one_line(caught.value, path, "replace it")
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_same_pixels_in_memory(source, root, arrays, num_workers):
    convert(source, root)
    splits = datasets.load("PCam", root)
    images, labels = arrays["train"]
    memory = datasets.TensorSplit(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()
    )
    options = {"device": "cpu", "shuffle": True, "seed": 3, "augment": True}
    files = datasets.make_loader(splits.train, splits.info, 4, num_workers=num_workers, **options)
    tensors = datasets.make_loader(memory, splits.info, 4, **options)
    for epoch in (0, 1):
        files.set_epoch(epoch)
        tensors.set_epoch(epoch)
        pairs = list(zip(files, tensors, strict=True))
        assert len(pairs) == len(files) == 3
        for (x, y), (x_memory, y_memory) in pairs:
            assert torch.equal(x, x_memory)
            assert torch.equal(y, y_memory)


def test_reading_leaves_the_network_s_random_numbers_alone(source, root):
    convert(source, root)
    splits = datasets.load("PCam", root)
    loader = datasets.make_loader(
        splits.train, splits.info, 4, device="cpu", shuffle=True, num_workers=0
    )
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_limit_keeps_both_classes(source, root):
    convert(source, root)
    splits = datasets.load("PCam", root, limit=4)
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [4, 4, 4]
    assert {splits.train[index][1] for index in range(4)} == {0, 1}
