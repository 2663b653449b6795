"""What the tests of the Triton backend need: Triton, working, and its interpreter switched on."""

import os
from unittest import mock

import pytest
from triton_interpreter import DEVICE, INTERPRETED  # noqa: F401

triton = pytest.importorskip("triton", reason="Triton is not installed")
CHOICE = {"TRITON_INTERPRET": "1"} if INTERPRETED else {}

with mock.patch.dict(os.environ, CHOICE):

    @triton.jit
    def loop(count):  # as every kernel does
        for _ in range(count):
            pass

    try:
        loop[(1,)](1)
    except Exception as error:  # Triton 3.6's interpreter with NumPy 2.4
        pytest.skip(f"Triton does not work here: {error!r}", allow_module_level=True)


@pytest.fixture(autouse=True)
def interpreter(monkeypatch):
    """Kernels run on the CPU in the tests that import this, and in no others."""
    for name, value in CHOICE.items():
        monkeypatch.setenv(name, value)
