"""One process of several that torchrun starts: small runs, one after the other.

Arguments: the folder of the run folders, images in a split, and a JSON list of runs, each with its
`overrides`, and with `step` and `signal` where the last rank sends itself one after that step in
its first life, or with `unreadable`, a batch that the last rank cannot read. Prints how each run
ended, as `rank exit-code line`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest
import torch
from small_runs import configuration, make_small

import training
from g_selfatt.datasets import DataError, Loader
from training import distributed
from training.errors import ExpectedStop
from training.trainer import Trainer

RANK, RESTARTS = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
LAST = str(int(os.environ["WORLD_SIZE"]) - 1)


def send_after(patch: pytest.MonkeyPatch, step: int, number: int) -> None:
    take, taken = Trainer._step, [0]

    def stepped(trainer, x, y):
        result = take(trainer, x, y)
        taken[0] += 1
        if taken[0] == step:
            os.kill(os.getpid(), number)
        return result

    patch.setattr(Trainer, "_step", stepped)


def fail_at(patch: pytest.MonkeyPatch, number: int) -> None:
    read, batches = Loader.__iter__, [0]

    def reading(loader):
        for batch in read(loader):
            batches[0] += 1
            if batches[0] == number:
                raise DataError("image.png cannot be read")
            yield batch

    patch.setattr(Loader, "__iter__", reading)


def start(folder: Path, images: int, run: dict) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, images)
        if "signal" in run and (RANK, RESTARTS) == (LAST, "0"):
            send_after(patch, run["step"], getattr(signal, run["signal"]))
        if "unreadable" in run and RANK == LAST:
            fail_at(patch, run["unreadable"])
        try:
            training.run(configuration(folder, *run["overrides"]))
        except (ExpectedStop, DataError) as stop:
            return getattr(stop, "exit_code", 2), str(stop)
        return 0, "done"


def main(folder: str, images: str, runs: str) -> None:
    logging.basicConfig(level=logging.INFO if RANK == "0" else logging.ERROR, format="%(message)s")
    with distributed.processes(torch.device("cpu")):  # one group for all runs
        for run in json.loads(runs):
            code, line = start(Path(folder), int(images), run)
            sys.stdout.flush()
            # In one piece: both processes write to the same pipe.
            os.write(1, f"{RANK} {code} {line}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
