"""The Triton kernels compile for a GPU, without one: what the interpreter cannot tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles for NVIDIA GPUs on Linux")
def test_every_kernel_compiles_for_a_gpu():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.gpu.compile_kernels", "--cases", "p4"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("registers") == 5
