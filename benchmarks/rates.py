"""The peak rates of this machine, measured in the same run as what is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.worker import now

TRIES = 5
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices
CHANNELS, PIXELS, KERNEL = 512, 64, 3  # of the convolution: images of PIXELS × PIXELS
COPIED = {"cpu": 2**26, "cuda": 2**28}  # float32 numbers: far more than a cache holds


class Rates(NamedTuple):
    """What the machine can do in a second: float32 multiply-adds, bytes read or written."""

    multiply_adds: float
    bytes: float

    def __str__(self) -> str:
        return (
            f"peak rates: {self.multiply_adds / 1e9:.0f}·10⁹ float32 multiply-adds/s, "
            f"{self.bytes / 1e9:.0f}·10⁹ bytes/s"
        )


def measure_rates(device: str) -> Rates:
    """The fastest of a few large products, and of a few copies, on torch's threads."""
    multiply_adds = _product_rate(device)
    if device == "cpu":
        # On processors that are not Intel's, torch.mm may leave half of each register unused.
        multiply_adds = max(multiply_adds, _convolution_rate())
    source, target = (torch.ones(COPIED[device], device=device) for _ in range(2))
    copying = _fastest(lambda: target.copy_(source), device)
    moved = 2 * source.numel() * source.itemsize  # read and written
    return Rates(multiply_adds, moved / copying)


def _product_rate(device: str) -> float:
    side = SIDE[device]
    a, b, product = (torch.randn(side, side, device=device) for _ in range(3))
    return side**3 / _fastest(lambda: torch.mm(a, b, out=product), device)


def _convolution_rate() -> float:
    images = torch.randn(1, CHANNELS, PIXELS, PIXELS)
    weight = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL)
    multiply_adds = (PIXELS - KERNEL + 1) ** 2 * weight.numel()
    return multiply_adds / _fastest(lambda: torch.conv2d(images, weight), "cpu")


def _fastest(function: Callable[[], object], device: str) -> float:
    """Seconds."""
    times = []
    for _ in range(TRIES):
        start = now(device)
        function()
        times.append(now(device) - start)
    return min(times)
