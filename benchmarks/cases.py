"""What is measured, and how much better than the reference it must be."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.steps import NetworkStep

REFERENCE = "reference"
FLEX = "flex"  # no backend of the library: `benchmarks.flex` makes it one
OURS = {"cpu": "numba", "cuda": "triton"}
"""What is measured against it on each device, unless one is named."""


@dataclass(frozen=True)
class Bars:
    """How many times better than the reference a backend must be.

    Attributes:
        step: the reference's time of a training step over the backend's, at least.
        aim: the same, hoped for; None for none.
        memory: the reference's peak memory over the backend's, at least; None for none.
        outlives: whether the backend must run where the reference runs out of memory.
    """

    step: float
    aim: float | None
    memory: float | None
    outlives: bool = False


@dataclass(frozen=True)
class Case:
    """One network in training. Its preset has all that is not here.

    Attributes:
        name: what ``--case`` takes.
        model, dataset, attention_type: as in `models.create_model`.
        batch: images of a step.
        bars: what is required.
    """

    name: str
    model: str
    dataset: str
    batch: int
    bars: Bars
    attention_type: str = "Local"

    def build(self, backend: str, device: str) -> NetworkStep:
        """A training step of the network, with the same weights and images for every backend."""
        if backend == FLEX:
            from benchmarks import flex  # loads what compiles, for those alone who ask for it

            flex.register()
        return NetworkStep(
            self.model,
            self.dataset,
            attention_type=self.attention_type,
            batch=self.batch,
            backend=backend,
            device=device,
        )


CASES = {
    "cpu": (
        Case("rotMNIST-p4sa-b2", "p4sa", "rotMNIST", 2, Bars(5, 15, 5)),
        Case("rotMNIST-z2sa-b8", "z2sa", "rotMNIST", 8, Bars(5, 15, 3)),
        Case("rotMNIST-p4msa-b1", "p4msa", "rotMNIST", 1, Bars(8, 25, 8)),
        Case("CIFAR10-mz2sa-b2", "mz2sa", "CIFAR10", 2, Bars(5, 15, 3)),
        Case("PCam-p4sa-b1", "p4sa", "PCam", 1, Bars(5, 15, 5)),
        Case("rotMNIST-p4sa-global-b1", "p4sa", "rotMNIST", 1, Bars(10, 40, 20), "Global"),
    ),
    "cuda": (
        Case("rotMNIST-p4sa-b8", "p4sa", "rotMNIST", 8, Bars(8, 30, 10)),
        Case("rotMNIST-p4sa-b64", "p4sa", "rotMNIST", 64, Bars(8, 30, 10)),
        Case("CIFAR10-mz2sa-b24", "mz2sa", "CIFAR10", 24, Bars(15, 60, 10)),
        Case("PCam-p4msa-b16", "p4msa", "PCam", 16, Bars(15, 60, 10)),
        Case(
            "rotMNIST-p4sa-global-b8",
            "p4sa",
            "rotMNIST",
            8,
            Bars(20, None, None, outlives=True),
            "Global",
        ),
    ),
}
"""The cases of each device, in the order in which they are measured."""
