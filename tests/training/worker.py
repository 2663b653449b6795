"""Groups of processes as torchrun starts them: small runs in each, one after the other.

Arguments: the folder of the run folders, images in a split, and a JSON list of groups, each with
`processes`, `restarts` and `runs`. A run has its `overrides`, and `step` and `signal` where the
last rank sends itself one after that step in its first life, or `unreadable`, a batch that the
last rank cannot read. Prints how long a process waits for another, and how each run ended, as
`rank exit-code line`.

The agent is torchrun's. Its processes are forked from this one, which has imported everything and
computed nothing: started as programs, each would spend seconds on that.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest
import torch
import torch._dynamo
from small_runs import configuration, make_small
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import training
from g_selfatt import datasets
from g_selfatt.backends.numba import operator  # noqa: F401
from g_selfatt.datasets import DataError, Loader
from training import distributed
from training.errors import ExpectedStop
from training.trainer import Trainer


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
    last = int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1
    restarts = os.environ["TORCHELASTIC_RESTART_COUNT"]
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, images)
        if "signal" in run and last and restarts == "0":
            send_after(patch, run["step"], getattr(signal, run["signal"]))
        if "unreadable" in run and last:
            fail_at(patch, run["unreadable"])
        try:
            training.run(configuration(folder, *run["overrides"]))
        except (ExpectedStop, DataError) as stop:
            return getattr(stop, "exit_code", 2), str(stop)
        return 0, f"done, restarts: {restarts}"


def work(folder: str, images: str, runs: str) -> None:
    """What each process of a group does."""
    rank = os.environ["RANK"]
    logging.basicConfig(level=logging.INFO if rank == "0" else logging.ERROR, format="%(message)s")
    with distributed.processes(torch.device("cpu")):  # one group for all runs
        if world := torch.distributed.group.WORLD:  # none in a group of one
            patience = world._get_backend(torch.device("cpu")).options._timeout
            os.write(1, f"{rank} waits {patience}\n".encode())
        for run in json.loads(runs):
            code, line = start(Path(folder), int(images), run)
            sys.stdout.flush()
            # In one piece: the processes write to the same pipe.
            os.write(1, f"{rank} {code} {line}\n".encode())


def main(folder: str, images: str, groups: str) -> None:
    datasets.load("rotDigits")  # made once, before the forks
    for group in json.loads(groups):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=group["processes"],
            max_restarts=group["restarts"],
            run_id=str(uuid.uuid4()),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            start_method="fork",
        )
        elastic_launch(config, work)(folder, images, json.dumps(group["runs"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
