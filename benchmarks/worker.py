"""One step in a process of its own, measured as often as the parent asks.

    python benchmarks/worker.py '{"what": …, "backend": …, "device": …, "threads": …}'

Reads ``memory`` or ``time`` from standard input, a word a line, and answers each with a line of
JSON. It imports nothing of benchmarks, so that the same file measures the g_selfatt and models of
any checkout: the first folder of PYTHONPATH that has them.

**Time** is that of the second of two steps, as in a training, where a step follows another: the
first finds other numbers in the caches, and idle threads of the other processes still awake.

**Memory** is the most that one step needs beyond what is there between two steps: activations,
what is saved for backward, scratch. On the CPU: collect garbage, give the heap's free pages back,
reset the peak of the resident set (Linux, /proc/self/clear_refs), do one step; VmHWM − VmRSS. On
CUDA: the same, by torch's count of the allocated bytes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

AFFORDABLE_BYTES = 8 * 10**9  # of a process on the CPU; one that needs more is out of memory
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5)


class Step(Protocol):
    """A step in two parts, so that the first can be timed separately."""

    def forward(self) -> Tensor:
        """Forget the gradients of the last step and compute what ``finish`` takes."""

    def finish(self, output: Tensor) -> None:
        """The rest of the step."""


class NetworkStep:
    """A training step (zero_grad, forward, cross entropy, backward, Adam), or an evaluation.

    Args:
        model, dataset: names of a network and of the data set whose preset it has.
        batch: number of images; they are noise of the data set's size.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
        attention_type: ``"Local"`` or ``"Global"``.
        training: False for a forward in eval mode only.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        batch: int,
        *,
        backend: str,
        device: str,
        attention_type: str = "Local",
        training: bool = True,
    ) -> None:
        import datasets
        import models

        torch.manual_seed(0)
        network = models.create_model(
            model, dataset, attention_type=attention_type, backend=backend
        )
        self.network = network.to(device).train(training)
        facts = datasets.INFO[dataset]
        size = facts.image_size
        self.images = torch.randn(batch, facts.in_channels, size, size).to(device)
        self.labels = torch.randint(facts.num_classes, (batch,)).to(device)
        # Small: scores that are not finite, after many steps on noise, have times of their own.
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-5, fused=True)

    def forward(self) -> Tensor:
        """The loss, ``()``."""
        self.optimizer.zero_grad()
        with torch.set_grad_enabled(self.network.training):
            return F.cross_entropy(self.network(self.images), self.labels)

    def finish(self, output: Tensor) -> None:
        """Backward from the loss, and the optimizer's step."""
        if self.network.training:
            output.backward()
            self.optimizer.step()


class LayerStep:
    """Forward and backward of one group layer as in PCam's preset, batch 1, in float32.

    12 channels in and out, 9 heads of 6 channels, window 5×5, attention dropout 0.1.

    Args:
        group: name of a group.
        side: of the image, in pixels.
        backend: of the attention.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, group: str, side: int, *, backend: str, device: str) -> None:
        from g_selfatt import groups, nn

        torch.manual_seed(0)
        acting = groups.get(group)
        layer = nn.GroupLocalSelfAttention(acting, 12, 6, 12, 9, 5, 0.1, backend=backend)
        self.layer = layer.to(device).train()
        # As inside a network, whose earlier layers want the gradient too.
        shape = (1, 12, acting.num_elements, side, side)
        self.features = torch.randn(shape).to(device).requires_grad_()
        self.d_output = torch.randn(shape).to(device)

    def forward(self) -> Tensor:
        """The features that the layer returns, ``(1, 12, |H|, side, side)``."""
        self.layer.zero_grad()
        self.features.grad = None
        return self.layer(self.features)

    def finish(self, output: Tensor) -> None:
        """Backward."""
        output.backward(self.d_output)


def build(what: dict[str, Any], backend: str, device: str) -> NetworkStep | LayerStep:
    """A step, with the same weights and images for every backend."""
    if backend == "flex":  # no backend of the library
        from benchmarks import flex

        flex.register()
    kind = NetworkStep if "model" in what else LayerStep
    return kind(**what, backend=backend, device=device)


def time_second(step: Step, device: str) -> dict[str, float]:
    """Milliseconds of the forward, and of the whole step, of the second of two."""
    step.finish(step.forward())
    start = now(device)
    output = step.forward()
    middle = now(device)
    step.finish(output)
    return {"forward_ms": 1e3 * (middle - start), "step_ms": 1e3 * (now(device) - start)}


def now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(step: Step, device: str) -> dict[str, int | None]:
    """Bytes at the worst moment of a step; None where they cannot be measured.

    Returns:
        ``memory_bytes`` beyond what was there before, and ``process_bytes`` in all; on CUDA those
        that torch allocated.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step.finish(step.forward())
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return {"memory_bytes": peak - before, "process_bytes": peak}
    if not CLEAR_REFS.exists():
        return {"memory_bytes": None, "process_bytes": None}
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc; otherwise free pages would be used without a trace
        library.malloc_trim(0)
    CLEAR_REFS.write_text(RESET_PEAK)
    before = _status("VmRSS")
    step.finish(step.forward())
    peak = _status("VmHWM")
    return {"memory_bytes": peak - before, "process_bytes": peak}


def _status(key: str) -> int:
    """A line of /proc/self/status in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None  # wherever there is a clear_refs
    return int(found[1]) * 1024


def serve(job: dict[str, Any]) -> None:
    """Build and warm up, then answer until the parent closes the pipe."""
    torch.set_num_threads(job["threads"])
    device = job["device"]
    measures: dict[str, Callable] = {"memory": peak_memory, "time": time_second}
    step: Step | None = None
    for line in sys.stdin:
        try:
            if step is None:
                step = build(job["what"], job["backend"], device)
                step.finish(step.forward())
            answer = measures[line.strip()](step, device)
        except (torch.OutOfMemoryError, MemoryError):
            answer = {"out_of_memory": True}
        except (ValueError, RuntimeError) as error:
            # What torch's allocator on the CPU raises has no type of its own.
            text = str(error)
            short = "can't allocate memory" in text
            answer = {"out_of_memory": True} if short else {"error": text}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if sys.platform == "linux" and '"cpu"' in sys.argv[1]:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (AFFORDABLE_BYTES, AFFORDABLE_BYTES))
    serve(json.loads(sys.argv[1]))
