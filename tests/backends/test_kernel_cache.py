"""Compiled kernels on disk: a damaged cache is no error, and one process at a time compiles."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from threading import BrokenBarrierError

import numba
import pytest

from g_selfatt.backends.numba import compiling
from g_selfatt.backends.numba.kernels_backward import backward
from g_selfatt.backends.numba.kernels_forward import forward


def double(x):
    return 2 * x


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling._Cache, "_told", False)
    return tmp_path


def loaded_from_cache() -> bool:
    """Compile in a new dispatcher, as a new process would; whether the cache had it."""
    kernel = compiling.compile_kernel(double)
    assert kernel(21.0) == 42.0
    return bool(kernel.stats.cache_hits)


def test_a_kernel_is_compiled_once(folder):
    assert [loaded_from_cache(), loaded_from_cache()] == [False, True]


def test_compiling_is_said_before_it_begins_and_loading_is_not(folder, caplog):
    with caplog.at_level(logging.INFO):
        assert [loaded_from_cache(), loaded_from_cache()] == [False, True]
    assert caplog.messages == ["compiling the attention's double (once, about 30 s)…"]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\x93no"],
    ids=["truncated", "empty", "garbage"],
)
def test_a_damaged_cache_is_replaced_and_said_once(folder, suffix, damage, caplog):
    loaded_from_cache()
    (path,) = folder.rglob(f"*.{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert [loaded_from_cache(), loaded_from_cache()] == [False, True]
    assert len(caplog.messages) == 1
    assert f"the cache in {path.parent} cannot be read" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_error_and_said_once(folder, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with caplog.at_level(logging.WARNING):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # no file may grow: a full disk
        try:
            found = [loaded_from_cache(), loaded_from_cache()]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == [False, False]
    assert len(caplog.messages) == 1
    assert "cannot be written" in caplog.text
    assert not [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("kernel", [forward, backward])
def test_a_kernel_is_told_apart_by_the_sources_that_it_was_compiled_from(kernel):
    closure = inspect.getclosurevars(kernel.py_func)
    assert closure.nonlocals == {"digest": compiling.sources_digest()}


def test_a_change_of_any_source_changes_the_digest(tmp_path, monkeypatch):
    package = Path(compiling.__file__).parent
    before = compiling.sources_digest()
    folder = shutil.copytree(package, tmp_path / "numba", ignore=lambda *_: ["__pycache__"])
    monkeypatch.setattr(compiling, "__file__", str(folder / "compiling.py"))
    assert compiling.sources_digest() == before
    for path in folder.glob("*.py"):
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        assert compiling.sources_digest() != before, path
        path.write_bytes(text)


def compile_together(folder, barrier, saving, arguments, misses):
    """The work of one process: compile for each argument, once all processes are ready.

    Where all of them can be saving at once, they do it at the same moment.
    """
    numba.config.CACHE_DIR = folder
    kernel = compiling.compile_kernel(double)
    file = kernel._cache._cache_file
    save_index = file._save_index

    def save_index_together(overloads):
        with suppress(BrokenBarrierError):
            saving.wait(timeout=1)
        save_index(overloads)

    file._save_index = save_index_together
    barrier.wait()
    assert [kernel(argument) for argument in arguments] == [2 * argument for argument in arguments]
    misses.put(sum(kernel.stats.cache_misses.values()))


def test_processes_compile_each_kernel_once_and_load_the_right_one(folder):
    """Both begin at the same moment, with signatures of their own or in the opposite order."""
    orders = [[21.5, 3, 2j], [2j, 3, 21.5]]
    context = multiprocessing.get_context("spawn")
    barrier, saving = (context.Barrier(len(orders)) for _ in range(2))
    misses = context.Queue()
    processes = [
        context.Process(target=compile_together, args=(str(folder), barrier, saving, order, misses))
        for order in orders
    ]
    for process in processes:
        process.start()
    assert sum(misses.get(timeout=120) for _ in processes) == 3
    for process in processes:
        process.join()
        assert process.exitcode == 0
    kernel = compiling.compile_kernel(double)
    assert [kernel(argument) for argument in orders[0]] == [43.0, 6, 4j]
    assert sum(kernel.stats.cache_hits.values()) == 3
