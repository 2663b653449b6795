"""How far a run is: the figures of the epoch so far, and the time that is left."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from training import distributed
from training.evaluation import Score


class Progress:
    """The epoch so far, which a state of the run inside an epoch keeps.

    The figures stay on the device, and those of the other processes are added now and then: to look
    at every step would stall a GPU.

    Args:
        steps: of an epoch.
        images: in a step, of all processes together.
        device: where the network is.

    Attributes:
        step: steps done.
        rates: the learning rate at each of them.
        seconds: that earlier processes spent on this epoch.
        skipped: steps of it that loss scaling left out.
    """

    def __init__(self, steps: int, images: int, device: torch.device) -> None:
        self.step = 0
        self.seconds = 0.0
        self.skipped = 0
        self.rates: list[float] = []
        self._images = images
        self._begin = time.monotonic()
        self._looked = 0  # steps whose figures are those of all processes
        self._figures = torch.zeros(steps, 2, device=device)  # loss, images right

    def add(self, loss: Tensor, correct: Tensor, lr: float) -> None:
        """Note a step of this process: its share of the mean loss, images right, learning rate."""
        self._figures[self.step, 0] = loss
        self._figures[self.step, 1] = correct
        self.rates.append(lr)
        self.step += 1

    def look(self) -> None:
        """Add up the figures of all processes; each of them calls this after the same step."""
        if self._looked < self.step:
            new = self._figures[self._looked : self.step]
            new.copy_(distributed.total(new))
            new[:, 0] /= distributed.size()
        self._looked = self.step

    @property
    def losses(self) -> Tensor:
        """The loss at each step, as of the last look."""
        return self._figures[: self._looked, 0]

    @property
    def score(self) -> Score:
        """Of the training images on the way, as of the last look."""
        correct = self._figures[: self._looked, 1].sum(dtype=torch.float64)
        return Score(self.losses.mean().item(), int(correct), self._looked * self._images)

    def elapsed(self) -> float:
        """Seconds spent on this epoch, by this process and those before it."""
        return self.seconds + time.monotonic() - self._begin

    def state_dict(self) -> dict[str, Any]:
        """For the state of a run; `look` first."""
        return {
            "figures": self._figures[: self.step].cpu().clone(),
            "rates": self.rates,
            "seconds": self.elapsed(),
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.step = self._looked = len(state["figures"])
        self._figures[: self.step] = state["figures"]
        self.rates, self.seconds, self.skipped = state["rates"], state["seconds"], state["skipped"]


class Pace:
    """Time left of the whole run, from the steps and evaluations that this process has done.

    The clock starts at the first look: what comes before may compile the attention.

    Args:
        total: steps of the whole run.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._start: float | None = None

    def left(self, done: int) -> str:
        """The time that is left after so many steps of the run; ``?`` at the first look."""
        if self._start is None:
            self._start, self._done = time.monotonic(), done
            return "?"
        each = (time.monotonic() - self._start) / max(1, done - self._done)
        return tqdm.format_interval(each * (self._total - done))


def summary(row: Mapping[str, Any], epochs: int, best: bool, left: str) -> str:
    """The line of the log after an epoch.

    Args:
        row: of metrics.jsonl.
        epochs: of the whole run.
        best: whether no epoch before was better.
        left: the time that is left of the run.
    """
    skipped = row["skipped_steps"]
    return (
        f"epoch {row['epoch']}/{epochs}: "
        f"training loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}; "
        f"validation loss {row['validation_loss']:.4f}, "
        f"accuracy {row['validation_accuracy']:.2%}{' (best)' if best else ''}; "
        f"learning rate {row['lr']:.3g}; {row['seconds']:.1f} s, {left} left"
        + (f"; {skipped} steps left out: their scaled gradients overflowed" if skipped else "")
    )
