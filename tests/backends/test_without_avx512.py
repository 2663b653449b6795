"""The compiled attention for CPUs without AVX-512, on whatever CPU the tests run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from g_selfatt.backends.numba.lanes import FEATURES

TESTS = Path(__file__).parent.parent
PROGRAM = """
from attention_cases import make_inputs, results, worst_error
from g_selfatt.backends.numba.lanes import BYTES

for group, lifting in (("p4", False), ("p4", True), ("mz2", False), ("z2", False)):
    inputs = make_inputs(group, (6, 19), (5, 5), lifting=lifting)
    error = worst_error(results("numba", inputs), results("reference", inputs))
    assert error < 1e-13, (group, lifting, error)
print(BYTES)
"""


def test_equal_to_the_reference_without_avx512():
    features = [("-" + name[1:]) if "avx512" in name else name for name in FEATURES]
    environment = {
        **os.environ,
        "NUMBA_CPU_FEATURES": ",".join(features),
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
    }
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "32\n"), done.stderr
