"""Weights that lie in saved/, found by the network that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
from models.checkpoints import read_metadata
from models.registry import model_entry

SAVED = Path(__file__).resolve().parent.parent / "saved"

# Keys of the configuration kept with the weights that tell one network from another.
_NETWORK = (
    "attention_type", "patch_size", "norm_type", "activation_function", "group_encoding",
    "positional_encoding",
)  # fmt: skip


def find_shipped(
    name: str, dataset: str, arguments: dict[str, Any] | None = None, folder: Path = SAVED
) -> Path:
    """The weights of a network, the first by name where several runs left some.

    Args:
        name, dataset: names in any case.
        arguments: what the network is made with; None for those of the data set.
        folder: where run folders lie.

    Returns:
        The weights file.

    Raises:
        FileNotFoundError: there is none; the message lists those that there are.
    """
    info = datasets.INFO[datasets.canonical_name(dataset)]
    entry = model_entry(name)
    arguments = entry.arguments_for(info) if arguments is None else arguments
    wanted = {"model": entry.name, "dataset": info.name}
    wanted |= {key: arguments[key] for key in _NETWORK if key in arguments}
    if wanted.get("attention_type") == "Global":
        del wanted["patch_size"]
    files = sorted(folder.glob("*/weights.safetensors"))
    for path in files:
        config = json.loads(read_metadata(path).get("config", "{}"))
        if all(config.get(key) == value for key, value in wanted.items()):
            return path
    network = ", ".join(f"{key}={value}" for key, value in wanted.items())
    there = ", ".join(path.parent.name for path in files) or "none"
    raise FileNotFoundError(f"no weights in {folder} for {network}; there are: {there}")
