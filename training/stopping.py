"""SIGINT (Ctrl-C) and SIGTERM: a training step that has begun is finished before a run stops."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.errors import Termination


class Signals:
    """While it is entered, the first SIGINT or SIGTERM is noted, the second raised at once.

    A signal that the program was started to ignore, as SIGINT under nohup, is ignored still.

    Args:
        patient: note all and raise none. torchrun passes on what the terminal has already sent.

    Attributes:
        received: number of the first signal; 0 before.
    """

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient
        self.received = 0
        self._before: dict = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():  # no other thread may do this
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and not self.patient:
            raise stop_of(number)
        self.received = self.received or number


def stop_of(number: int) -> KeyboardInterrupt:
    """The exception that a signal is.

    Args:
        number: SIGINT or SIGTERM.
    """
    return Termination() if number == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def raising_on_termination() -> Iterator[None]:
    """While it is entered, SIGTERM raises `Termination`, so that nothing half written is left."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Termination

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def drop_output() -> None:
    """After BrokenPipeError, as by `| head`: Python flushes once more when it ends, to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
