"""Where there is no GPU, Triton's kernels run in its interpreter: chosen here, before any test.

Triton reads the choice where kernels are defined, its own ones too: when it is first imported.
"""

import contextlib
import os

import torch

INTERPRETED = not torch.cuda.is_available()
DEVICE = "cpu" if INTERPRETED else "cuda"

_before = os.environ.get("TRITON_INTERPRET")
if INTERPRETED:
    os.environ["TRITON_INTERPRET"] = "1"
try:
    with contextlib.suppress(ImportError):  # no Triton: the tests that need it say so
        from g_selfatt.backends.triton import operator  # noqa: F401
finally:
    # No other test, and no process that one starts, is to meet the interpreter.
    if _before is None:
        os.environ.pop("TRITON_INTERPRET", None)
    else:
        os.environ["TRITON_INTERPRET"] = _before
