"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import platform

import torch

from training.machine import processor


def describe(device: str, threads: int) -> dict[str, str | int | None]:
    """Machine, versions and threads, as JSON takes them; None for what is not installed."""
    return {
        "machine": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "device": device,
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": _version("numba"),
        "triton": _version("triton"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
