"""Random input of every kind: readers answer with values or with one line, and never run a file.

A few hundred cases each; `FUZZ_CASES=10000 pytest tests/test_fuzz.py` has as many as one likes.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from attention_cases import make_inputs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import KEYS
from g_selfatt import groups, models
from g_selfatt.datasets import DataError, mnist_rot
from g_selfatt.functional import self_attention
from g_selfatt.models import CheckpointError
from training import command_line
from training.errors import ConfigError

CASES = int(os.environ.get("FUZZ_CASES", "200"))
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    derandomize="FUZZ_CASES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RAN = []


class Malicious:
    """A pickle of this would append to `RAN` where it is loaded."""

    def __reduce__(self):
        return RAN.append, ("ran",)


def one_line(error):
    assert str(error) and "\n" not in str(error)


VALUES = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["None", "True", "(1,2)", "(", "()", "1e999", "9" * 400, "{}", "-0", "p4sa", "="]
    ),
)


@fuzz
@given(st.lists(st.tuples(st.sampled_from(sorted(KEYS)), VALUES), max_size=3))
def test_config_values(overrides):
    try:
        command_line.parse([f"--config.{key}={value}" for key, value in overrides])
    except ConfigError as error:
        one_line(error)


@fuzz
@given(st.text(min_size=1, max_size=30), VALUES)
def test_config_keys(key, value):
    try:
        command_line.parse([f"--config.{key}={value}"])
    except ConfigError as error:
        one_line(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


ROWS = st.lists(
    st.one_of(st.just(" 0.5" * 784 + " 3"), st.text("0123456789.e-+ nai\t", max_size=60)),
    max_size=3,
).map("\n".join)


@fuzz
@given(st.one_of(ROWS.map(str.encode), st.binary(max_size=200)))
def test_amat(folder, content):
    archive = folder / "archive.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(mnist_rot.TRAIN_FILE, content)
        files.writestr(mnist_rot.TEST_FILE, " 0.5" * 784 + " 3")
    try:
        arrays = mnist_rot._parse(archive, 1)
    except DataError as error:
        one_line(error)
    else:
        assert arrays["x_train"].dtype == np.uint8 and arrays["x_train"].shape[1:] == (28, 28)


def test_zip_slip(folder):
    """Members are read by their names: one that points out of the archive is written nowhere."""
    archive, outside = folder / "slip.zip", folder.parent / "slipped.txt"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("../slipped.txt", "out")
        files.writestr(str(outside), "out")
    with pytest.raises(DataError):
        mnist_rot._parse(archive, 1)
    assert not outside.exists() and not (folder / "slipped.txt").exists()


def npz():
    arrays = {"x": np.zeros((2, 28, 28), np.uint8), "y": np.zeros(2, np.uint8)}
    file = io.BytesIO()
    np.savez(file, **{f"{k}_{s}": v for k, v in arrays.items() for s in ("train", "valid", "test")})
    return file.getvalue()


def damaged(content):
    """Some bytes of a file changed, cut off, or put in its place."""
    position = st.integers(0, len(content) - 1)
    changed = st.lists(st.tuples(position, st.integers(0, 255)), min_size=1, max_size=8)

    def change(edits):
        data = bytearray(content)
        for place, value in edits:
            data[place] = value
        return bytes(data)

    cut = position.map(lambda end: content[:end])
    return st.one_of(changed.map(change), cut, st.binary(max_size=300))


@fuzz
@given(damaged(npz()))
def test_npz(folder, content):
    path = folder / "data.npz"
    path.write_bytes(content)
    try:
        source = mnist_rot._read(path)
    except DataError as error:
        one_line(error)
    else:
        assert source.train.images.dtype == torch.uint8


def test_a_malicious_pickle_in_an_npz_never_runs(folder):
    path = folder / "pickle.npz"
    array = np.empty(1, dtype=object)
    array[0] = Malicious()
    np.savez(path, x_train=array)
    with pytest.raises(DataError):
        mnist_rot._read(path)
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(DataError):
        mnist_rot._read(path)
    assert RAN == []


@pytest.fixture(scope="module")
def layer():
    return torch.nn.Linear(2, 3)


def saved(layer, folder):
    path = folder / "whole.safetensors"
    models.save_weights(path, layer, {"seed": "0"})
    return path.read_bytes()


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(3, 2), offsets=(0, 24)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


MALFORMED = {
    "empty": b"",
    "header longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "header not JSON": struct.pack("<Q", 4) + b"{{{{",
    "header a list": header([1]),
    "offsets beyond the end": header({"weight": entry(offsets=(0, 10**9))}, bytes(24)),
    "offsets backwards": header({"weight": entry(offsets=(24, 0))}, bytes(24)),
    "overlapping tensors": header({"weight": entry(), "bias": entry(shape=(3,), offsets=(12, 24))}),
    "shape that does not fit": header({"weight": entry(shape=(2**40, 2**40))}, bytes(24)),
    "unknown dtype": header({"weight": entry(dtype="F31")}, bytes(24)),
    "a pickle": pickle.dumps(Malicious()),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_safetensors_are_one_line(folder, layer, name):
    path = folder / "malformed.safetensors"
    path.write_bytes(MALFORMED[name])
    before = layer.weight.clone()
    with pytest.raises(CheckpointError) as error:
        models.load_weights(path, layer)
    one_line(error.value)
    assert torch.equal(layer.weight, before) and RAN == []


@fuzz
@given(st.data())
def test_weights(folder, layer, data):
    """Whatever happens to the file, what loads is what was saved."""
    content = saved(layer, folder)
    path = folder / "weights.safetensors"
    path.write_bytes(data.draw(damaged(content)))
    before = layer.weight.clone()
    try:
        models.load_weights(path, layer)
    except CheckpointError as error:
        one_line(error)
    assert torch.equal(layer.weight, before)


@settings(fuzz, max_examples=max(CASES, 300))
@given(
    st.sampled_from(["z2", "mz2", "p3", "p4", "p4m", "p6"]),
    st.tuples(st.integers(1, 6), st.integers(1, 9)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_attention_of_any_shape(group, size, reach, lifting, batch, heads, c):
    """300 random shapes: the compiled attention and the plain one are the reference."""
    window = (2 * reach[0] + 1, 2 * reach[1] + 1)
    inputs = make_inputs(group, size, window, lifting=lifting, batch=batch, heads=heads, c=c)
    expected = self_attention(*inputs, scale=0.3, backend="reference")
    got = self_attention(*inputs, scale=0.3, backend="numba")
    assert got.shape == (batch, heads, c, groups.get(group).num_elements, *size)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)
