"""The Triton backend where its kernels run: on a GPU, else in Triton's interpreter.

To be imported first by the tests that need it.
"""

import os

import pytest
import torch

INTERPRETED = not torch.cuda.is_available()
DEVICE = "cpu" if INTERPRETED else "cuda"
# Triton reads this where kernels are defined, its own ones too: when it is first imported.
before = os.environ.get("TRITON_INTERPRET")
if INTERPRETED:
    os.environ["TRITON_INTERPRET"] = "1"
try:
    triton = pytest.importorskip("triton", reason="Triton is not installed")
    from triton.language.standard import sum as of_triton
    from triton.runtime.interpreter import InterpretedFunction

    from g_selfatt.functional.backends.triton import operator  # noqa: F401

    @triton.jit
    def loop(count):  # as every kernel does
        for _ in range(count):
            pass

    try:
        loop[(1,)](1)
    except Exception as error:  # Triton 3.6's interpreter with NumPy 2.4
        pytest.skip(f"Triton does not work here: {error!r}", allow_module_level=True)
finally:
    if before is None:
        os.environ.pop("TRITON_INTERPRET", None)
    else:
        os.environ["TRITON_INTERPRET"] = before
if isinstance(of_triton, InterpretedFunction) != INTERPRETED:
    raise RuntimeError("Triton was imported before its interpreter could be chosen")


@pytest.fixture(autouse=True)
def interpreter(monkeypatch):
    """Kernels run on the CPU in the tests that import this, and in no others."""
    if INTERPRETED:
        monkeypatch.setenv("TRITON_INTERPRET", "1")
