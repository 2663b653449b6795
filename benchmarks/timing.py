"""Times of a step, of several backends side by side: what slows the machine slows them all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.steps import Buildable, Step, run


@dataclass(frozen=True)
class Times:
    """Medians over the repeats, in milliseconds; the step contains the forward."""

    forward_ms: float
    step_ms: float


def measure_times(
    what: Buildable, backends: list[str], device: str, threads: int, repeats: int
) -> dict[str, Times]:
    """The times of every backend, after a step of each to warm up, which compiles."""
    torch.set_num_threads(threads)
    steps = {backend: what.build(backend, device) for backend in backends}
    for step in steps.values():
        run(step)
    return time_in_turns(steps, device, repeats)


def time_in_turns(steps: dict[str, Step], device: str, repeats: int) -> dict[str, Times]:
    """The times of steps that are warm and take turns ``repeats`` times."""
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            samples[name].append(time_once(step, device))
    return {
        name: Times(*(1e3 * median(part) for part in zip(*pairs, strict=True)))
        for name, pairs in samples.items()
    }


def time_once(step: Step, device: str) -> tuple[float, float]:
    """Seconds of the forward, and of the whole step."""
    start = now(device)
    output = step.forward()
    middle = now(device)
    step.finish(output)
    return middle - start, now(device) - start


def now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
