"""One case measured: memory first, each backend alone, then the times of those that had room."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import REFERENCE, Bars, Case
from benchmarks.children import OutOfMemory, in_child
from benchmarks.memory import Memory, measure_memory
from benchmarks.rates import Rates
from benchmarks.timing import measure_times
from benchmarks.work import step_work


@dataclass(frozen=True)
class Measurement:
    """What one backend took for one case; None for what could not be measured.

    Attributes:
        case, backend: their names.
        forward_ms, step_ms: medians; the step contains the forward.
        memory_bytes: of the step, beyond what was there before it.
        process_bytes: of the process at the same moment, all in all.
        out_of_memory: whether it could not run for want of memory.
        floor_ms: the step could not be faster than that.
    """

    case: str
    backend: str
    forward_ms: float | None
    step_ms: float | None
    memory_bytes: int | None
    process_bytes: int | None
    out_of_memory: bool
    floor_ms: float

    @property
    def times_floor(self) -> float | None:
        """How many floors the step takes."""
        return None if self.step_ms is None else self.step_ms / self.floor_ms


def measure_case(
    case: Case, backends: list[str], device: str, threads: int, repeats: int, rates: Rates
) -> list[Measurement]:
    """The reference and then every one of ``backends``.

    Raises:
        ValueError: a backend cannot run the case; the message says why.
    """
    floor_ms = count_floor_ms(case, device, rates)
    memories: dict[str, Memory | None] = {}
    for backend in (REFERENCE, *backends):
        try:
            memories[backend] = in_child(measure_memory, case, backend, device, threads)
        except OutOfMemory:
            continue
    try:
        times = in_child(measure_times, case, list(memories), device, threads, repeats)
    except OutOfMemory:  # each alone had room, but not side by side
        times = {}

    def of(backend: str) -> Measurement:
        time, memory = times.get(backend), memories.get(backend)
        return Measurement(
            case.name,
            backend,
            time.forward_ms if time else None,
            time.step_ms if time else None,
            memory.step if memory else None,
            memory.process if memory else None,
            backend not in memories,
            floor_ms,
        )

    return [of(backend) for backend in (REFERENCE, *backends)]


def count_floor_ms(case: Case, device: str, rates: Rates) -> float:
    """The floor of a case in milliseconds; takes one forward."""
    step = case.build("auto", device)
    return step_work(step, step.network).floor_ms(rates)


@dataclass(frozen=True)
class Comparison:
    """A backend against the reference; None for what could not be compared.

    Attributes:
        faster: the reference's time of a step over the backend's.
        less_memory: the reference's memory of a step over the backend's.
        met: whether each bar that the case has is met.
    """

    faster: float | None
    less_memory: float | None
    met: dict[str, bool | None]


def compare(reference: Measurement, backend: Measurement, bars: Bars) -> Comparison:
    """How much better a backend is than the reference in the same case."""
    faster = _ratio(reference.step_ms, backend.step_ms)
    less_memory = _ratio(reference.memory_bytes, backend.memory_bytes)
    got = {"step": (faster, bars.step), "aim": (faster, bars.aim)}
    got |= {"memory": (less_memory, bars.memory)}
    met = {
        name: None if value is None else value >= bar
        for name, (value, bar) in got.items()
        if bar is not None
    }
    if bars.outlives:
        met["outlives"] = not backend.out_of_memory if reference.out_of_memory else None
    return Comparison(faster, less_memory, met)


def _ratio(reference: float | None, backend: float | None) -> float | None:
    """None also where a step took no memory that could be seen."""
    return reference / backend if reference is not None and backend else None
