"""The peers: how equivariant they are, and escnn's environment where it cannot be made."""

import subprocess
import sys

import pytest

from benchmarks import peers
from runs import results, tables


@pytest.mark.parametrize("recipe", [name for name in tables.PEERS if name != peers.ESCNN])
def test_the_networks_of_p4_are_invariant_to_rounding_and_the_others_are_not(recipe):
    error = peers.equivariance_error(recipe)
    assert error < 1e-12 if "_p4" in recipe else error > 1e-2


def test_the_recipe_of_escnn_is_that_of_p4convnet_but_for_the_network():
    program = (
        "from runs.sweep import configuration\n"
        f"there = configuration({peers.ESCNN!r}, 3)\n"
        "here = configuration('rotdigits_p4convnet', 3)\n"
        "print(there.model, {k for k in there if there[k] not in (None, here[k])})"
    )  # in a process of its own, since the recipe registers a network
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=results.REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout == "escnn_p4 {'model'}\n", done.stderr


def test_without_a_compiler_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"^escnn needs a Fortran compiler: .*gfortran$"):
        peers.environment()
    assert not list(tmp_path.iterdir())
