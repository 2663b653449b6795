"""What is compared: a backend of this checkout or of another, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parents[1]


class OutOfMemory(Exception):
    """A step needs more memory than a process is given, or than there is."""


class Contender(NamedTuple):
    """A backend, of this checkout unless another is named.

    Attributes:
        backend: its name there.
        checkout: the folder that has g_selfatt and models.
    """

    backend: str
    checkout: Path = HERE

    def __str__(self) -> str:
        return self.backend if self.checkout == HERE else f"{self.backend}@{self.checkout.name}"


def read(text: str) -> Contender:
    """A contender from ``BACKEND`` or ``BACKEND@FOLDER``.

    Raises:
        ArgumentTypeError: the folder has no g_selfatt.
    """
    backend, _, folder = text.partition("@")
    checkout = Path(folder).resolve() if folder else HERE
    if not (checkout / "g_selfatt" / "__init__.py").exists():
        raise ArgumentTypeError(f"expected NAME or NAME@FOLDER, there is no g_selfatt in {folder}")
    return Contender(backend, checkout)


class Measurement(NamedTuple):
    """Medians of the times, and peaks of the memory; None for what could not be measured.

    Attributes:
        forward_ms, step_ms: milliseconds; the step contains the forward.
        memory_bytes: of the step, beyond what was there before it.
        process_bytes: of the process at the same moment, in all.
    """

    forward_ms: float | None = None
    step_ms: float | None = None
    memory_bytes: int | None = None
    process_bytes: int | None = None


class Worker:
    """The process of a contender: benchmarks/worker.py, which has the modules of its checkout."""

    def __init__(self, contender: Contender, what: dict[str, Any], device: str, threads: int):
        job = {"what": what, "backend": contender.backend, "device": device, "threads": threads}
        path = os.pathsep.join(dict.fromkeys([str(contender.checkout), str(HERE)]))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "benchmarks" / "worker.py"), json.dumps(job)],
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> dict[str, Any]:
        """The figures that ``"memory"`` or ``"time"`` asks for.

        Raises:
            OutOfMemory: torch found none, or the system killed the process.
            ValueError: what the step raised.
        """
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(f"{question}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            if code == -9:
                raise OutOfMemory
            raise ValueError(f"the process of a benchmark ended with exit code {code}")
        answer = json.loads(line)
        if "out_of_memory" in answer:
            raise OutOfMemory
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def measure(
    contenders: Sequence[Contender], what: dict[str, Any], device: str, threads: int, repeats: int
) -> list[Measurement | None]:
    """The contenders on one step, in turns: what slows the machine slows them all.

    Args:
        contenders: what is compared.
        what: the step, as `benchmarks.worker` builds it.
        device: ``"cpu"`` or ``"cuda"``.
        threads: of the CPU.
        repeats: number of turns.

    Returns:
        A measurement for each contender, None for one that was out of memory.

    Raises:
        ValueError: a contender cannot run the step; the message says why.
    """
    workers = [Worker(contender, what, device, threads) for contender in contenders]
    figures: list[dict[str, Any] | None] = []
    try:
        for worker in workers:
            figures.append(_ask(worker, "memory"))
        samples: list[list[dict[str, float]]] = [[] for _ in workers]
        for _ in range(repeats):
            for worker, memory, times in zip(workers, figures, samples, strict=True):
                if memory is not None and (time := _ask(worker, "time")) is not None:
                    times.append(time)
    finally:
        for worker in workers:
            worker.close()
    return [
        None if memory is None else Measurement(**_medians(times) | memory)
        for memory, times in zip(figures, samples, strict=True)
    ]


def _ask(worker: Worker, question: str) -> dict[str, Any] | None:
    try:
        return worker.ask(question)
    except OutOfMemory:
        worker.close()
        return None


def _medians(samples: list[dict[str, float]]) -> dict[str, Any]:
    return {key: median(sample[key] for sample in samples) for key in samples[0]} if samples else {}
