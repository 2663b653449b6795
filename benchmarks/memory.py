"""The memory that a step needs beyond what lies there between two steps.

Counted is what one step touches at its worst moment on top of the resident process: activations,
what is saved for backward, scratch, gradients. Not counted are Python, torch and compiled code, the
weights, the optimiser's state and the gradients of the step before: they are there already.

On the CPU: warm up by one step, collect garbage, give the heap's free pages back, reset the peak of
the resident set (Linux, /proc/self/clear_refs), do one step; VmHWM − VmRSS. On CUDA: the same, by
torch's count of the bytes allocated. Run this in a process of its own.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.steps import Buildable, run

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5)


@dataclass(frozen=True)
class Memory:
    """Bytes at the worst moment of a step.

    Attributes:
        step: beyond what was there before the step.
        process: all in all, on CUDA what torch allocated.
    """

    step: int
    process: int


def measure_memory(what: Buildable, backend: str, device: str, threads: int) -> Memory | None:
    """The memory of one step after one to warm up; None where it cannot be measured."""
    torch.set_num_threads(threads)
    step = what.build(backend, device)
    run(step)
    return peak_of(lambda: run(step), device)


def peak_of(function: Callable[[], object], device: str) -> Memory | None:
    """The memory that a function needs while it runs; None where it cannot be measured."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return Memory(peak - before, peak)
    if not CLEAR_REFS.exists():
        return None
    _trim_heap()
    CLEAR_REFS.write_text(RESET_PEAK)
    before = _status("VmRSS")
    function()
    peak = _status("VmHWM")
    return Memory(peak - before, peak)


def _trim_heap() -> None:
    """Free pages that the C library keeps would be used again without being seen."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc
        library.malloc_trim(0)


def _status(key: str) -> int:
    """A line of /proc/self/status in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None  # wherever there is a clear_refs
    return int(found[1]) * 1024
