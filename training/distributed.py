"""One run on many processes that torchrun starts: what each does, and what all agree on.

In a process of its own every function here is the trivial one: its own value is everyone's.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from g_selfatt.datasets import DataError
from training.errors import ConfigError, ExpectedStop, LostProcess

T = TypeVar("T")
# The others wait while the first process of a machine downloads a data set or decodes a folder.
PATIENCE = timedelta(hours=6)


def size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; only process 0 writes, logs and draws."""
    return dist.get_rank() if dist.is_initialized() else 0


def started_together() -> int:
    """Number of processes that torchrun started for this run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) if dist.is_torchelastic_launched() else 1


def device_here(device: torch.device) -> torch.device:
    """The device of this process: each process of a machine has a GPU of its own.

    Args:
        device: the configuration's.

    Raises:
        ConfigError: a single GPU is named, or there are fewer than processes.
    """
    if started_together() == 1 or device.type == "cpu":
        return device
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if device.index is not None:
        raise ConfigError(
            f"device: got {device}, expected cuda: each of the {here} processes takes its own GPU"
        )
    if here > gpus:
        raise ConfigError(
            f"device: {here} processes on this machine (--nproc-per-node) and {gpus} GPUs; "
            f"start at most {gpus}, or give --config.device=cpu"
        )
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


def refuse_uneven(batch_size: int) -> None:
    """ConfigError where a batch cannot be divided evenly among the processes."""
    if batch_size % size():
        raise ConfigError(
            f"batch_size: got {batch_size}, expected a multiple of {size()}: it is divided among "
            "the processes"
        )


def seed_here(seed: int) -> int:
    """A seed of this process's own, from that of the run."""
    return int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0])


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """While it is entered, this process is one of those that torchrun started together.

    Args:
        device: that this process computes on.

    Raises:
        LostProcess: another process ended without a word.
    """
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    if started_together() == 1 or dist.is_initialized():  # the caller's own group, then
        yield
        return
    # gloo beside NCCL: what the processes agree on between steps need not wait for the GPUs
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, number, count = next(dist.rendezvous("env://"))
    if os.environ["GROUP_WORLD_SIZE"] == "1":
        # After a restart the store still has the addresses of the processes before. On several
        # machines the count of restarts differs, and torchrun needs a setting: docs/distributed.md.
        store = dist.PrefixStore(f"life {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=PATIENCE)
    try:
        yield
    except ExpectedStop as stop:
        if stop.everywhere:
            dist.destroy_process_group()
        raise
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "closed by peer" in str(error):
            raise LostProcess(f"process {number}: another process of the run ended") from error
        raise
    dist.destroy_process_group()  # not after other errors: the others may be in a step


def replicate(model: nn.Module) -> nn.Module:
    """A network whose gradients are the mean over the processes.

    Args:
        model: on its device; gets the weights of process 0.

    Returns:
        The network itself where there is one process.
    """
    if size() == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(
        model,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
    )


def agree(request: int) -> int:
    """The largest of the numbers that the processes give."""
    if size() == 1:
        return request
    largest = torch.tensor(request)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def stack(values: Tensor) -> Tensor:
    """The values of all processes, in their order: ``(...)`` → ``(processes, ...)``."""
    if size() == 1:
        return values[None]
    parts = [torch.empty_like(values) for _ in range(size())]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts)


def total(values: Tensor) -> Tensor:
    """The sum over the processes, added up in the same order in each, so the same to the bit."""
    return stack(values).sum(dim=0)


def gather(value: T) -> list[T]:
    """Any values, one of each process, in their order."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    return values


def on_first(action: Callable[[], T]) -> T:
    """Do something in process 0 only.

    Args:
        action: what it returns, or the expected error that it ends in, is that of every process.
    """
    if size() == 1:
        return action()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = action()
        except (ExpectedStop, DataError, OSError) as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        outcome[1].everywhere = True
        raise outcome[1]
    return outcome[0]


def first_on_each_machine(action: Callable[[], T]) -> T:
    """Do something in one process of each machine, then in the others, so as to download it once.

    Args:
        action: a DataError of one process is that of every process.
    """
    if size() == 1:
        return action()
    leads = os.environ["LOCAL_RANK"] == "0"
    result = None
    for turn in (True, False):
        error = None
        if leads is turn:
            try:
                result = action()
            except DataError as failure:
                error = failure
        raise_for_all(error)
    return result


def raise_for_all(error: DataError | None) -> None:
    """Raise, in every process, the first error that one of them has."""
    for one in gather(error):
        if one is not None:
            one.everywhere = True
            raise one


def in_step(batches: Iterable[T], between: Callable[[DataError | None], None]) -> Iterator[T]:
    """Batches, and what the processes do together before each of them.

    Args:
        batches: as many in each process.
        between: called before each batch, with the error where it cannot be read.
    """
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except DataError as error:
            between(error)
            raise
        between(None)
        yield batch
