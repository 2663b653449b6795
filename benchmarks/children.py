"""Fresh processes: the heap of one measurement would colour the next, and one may be killed."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

import torch

Result = TypeVar("Result")


class OutOfMemory(Exception):
    """A measurement needs more memory than there is."""


def in_child(function: Callable[..., Result], *arguments: object) -> Result:
    """``function(*arguments)`` in a process of its own, which ends with it.

    Args:
        function: of the top level of a module; it, its arguments and its result can be pickled.

    Raises:
        OutOfMemory: torch found none, or the system killed the process for it.
        Exception: whatever else the function raised.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_answer, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()  # so that the end of the child is the end of the pipe
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:
            raise OutOfMemory("the system killed the process") from None
        raise RuntimeError(f"a process ended with exit code {process.exitcode}") from None
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(
    sender: Connection, function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, whose end is this one's
    try:
        sender.send(function(*arguments))
    except (torch.OutOfMemoryError, MemoryError) as error:
        sender.send(OutOfMemory(str(error)))
    except RuntimeError as error:
        # What torch's allocator on the CPU raises is told apart by its text alone.
        text = str(error)
        sender.send(OutOfMemory(text) if "can't allocate memory" in text else error)
    except Exception as error:
        sender.send(error)
