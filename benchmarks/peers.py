"""Peers side by side on rotDigits: the same loader, epochs and selection, parameters within 10 %.

    python -m benchmarks.peers

Trains what has no figures under results/, or everything with --again, 10 CPU minutes; measures how
far each network is from invariant to quarter turns, in float64, before training; and makes the
tables again.

escnn needs a Fortran compiler to be installed and NumPy 1 to be imported. It gets an environment
of its own in the user's cache folder, which borrows torch and the rest from this one. Where that
cannot be made, one line says why, and the rest is done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from g_selfatt import datasets, testing
from runs import results, sweep, tables
from training.network import create_network
from training.run_folder import write_atomic

ESCNN = "benchmarks/escnn_p4.py"
PACKAGES = ("escnn==1.0.11", "numpy<2")
IMAGES = 20  # that the equivariance error is the largest of


def environment() -> Path:
    """The Python of the environment of escnn, which is made if it is not there.

    Raises:
        RuntimeError: it cannot be made; one line says why.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "g_selfatt" / f"escnn-python{sys.version_info.major}.{sys.version_info.minor}"
    scripts, program = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    python = folder / scripts / program
    if _runs(python, "import escnn.nn, torch"):
        return python
    if shutil.which("gfortran") is None:
        raise RuntimeError("escnn needs a Fortran compiler: apt-get install gfortran")
    print(f"making {folder}, once", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    # What is installed there goes first, then what this Python has.
    inside = _output(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    packages = [path for path in sys.path if path.endswith("-packages")]
    Path(inside, "borrowed.pth").write_text("\n".join(packages) + "\n")
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *PACKAGES], capture_output=True, text=True
    )
    if not _runs(python, "import escnn.nn, torch"):
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"escnn cannot be installed: {lines[-1] if lines else 'no message'}")
    return python


def equivariance_error(recipe: str) -> float:
    """The largest change of the logits under quarter turns, relative, in float64, with new weights.

    Args:
        recipe: a name of `runs.sweep`.
    """
    config = sweep.configuration(recipe, 0)
    splits = datasets.load(config.dataset)
    torch.manual_seed(0)
    network = create_network(config, splits.info, torch.device("cpu")).double()
    images = torch.stack([splits.test[index][0] for index in range(IMAGES)]).double() / 255
    images = (images - splits.info.mean[0]) / splits.info.std[0]
    return max(testing.equivariance_error(network, "p4", images).values())


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="networks side by side on rotDigits"
    )
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2", "3", "4"], help="of each")
    parser.add_argument("--again", action="store_true", help="train what has figures too")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the figures that are there
    ours = [recipe for recipe in tables.PEERS if recipe != ESCNN]
    how = ["--seeds", *options.seeds, *["--again"] * options.again]
    if code := sweep.main([*ours, *how]):
        return code
    path = results.RESULTS / "peers.json"
    errors = json.loads(path.read_text()) if path.exists() else {}
    errors |= {recipe: equivariance_error(recipe) for recipe in ours}
    try:
        python = environment()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"{error}; its row is left as it is", file=sys.stderr)
    else:
        command = [str(python), "-m", "runs.sweep", ESCNN, *how]
        if code := subprocess.run(command, cwd=results.REPOSITORY).returncode:
            return code
        program = f"from benchmarks.peers import *; print(equivariance_error({ESCNN!r}))"
        errors[ESCNN] = float(_output(python, program).splitlines()[-1])
    write_atomic(path, json.dumps(errors, indent=1) + "\n")
    tables.main()
    return 0


def _runs(python: Path, program: str) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, "-c", program], capture_output=True).returncode == 0


def _output(python: Path, program: str) -> str:
    command = [str(python), "-c", program]
    done = subprocess.run(
        command, cwd=results.REPOSITORY, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
