"""Weights that lie in saved/, found by the network that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.checkpoints import read_metadata

SAVED = Path(__file__).resolve().parent.parent / "saved"

# Keys of the configuration kept with the weights that tell one network from another, and the
# arguments of GroupTransformer that they are.
_NETWORK = ("norm_type", "activation_function", "group_encoding", "positional_encoding")
_DEFAULTS = {"group_encoding": "equivariant", "positional_encoding": "mlp"}


def find_shipped(name: str, dataset: str, arguments: dict[str, Any], folder: Path = SAVED) -> Path:
    """The weights of a network, the first by name where several runs left some.

    Args:
        name, dataset: canonical names.
        arguments: what `GroupTransformer` is made with; empty for a network that is not one.
        folder: where run folders lie.

    Returns:
        The weights file.

    Raises:
        FileNotFoundError: there is none; the message lists those that there are.
    """
    wanted = {"model": name, "dataset": dataset}
    if arguments:
        local = arguments["patch_size"] is not None
        wanted["attention_type"] = "Local" if local else "Global"
        wanted |= {"patch_size": arguments["patch_size"]} if local else {}
        wanted |= {key: (_DEFAULTS | arguments)[key] for key in _NETWORK}
    files = sorted(folder.glob("*/weights.safetensors"))
    for path in files:
        config = json.loads(read_metadata(path).get("config", "{}"))
        if all(config.get(key) == value for key, value in wanted.items()):
            return path
    network = ", ".join(f"{key}={value}" for key, value in wanted.items())
    there = ", ".join(path.parent.name for path in files) or "none"
    raise FileNotFoundError(f"no weights in {folder} for {network}; there are: {there}")
