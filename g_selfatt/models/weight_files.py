"""Files of weights: safetensors, written whole, read strictly, with what made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from g_selfatt.datasets.files import replacing

DIGEST = "sha256"


class CheckpointError(ValueError):
    """Weights that are damaged, or that belong to another network: one line says which."""


def save_weights(path: str | Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write the parameters and persistent buffers of a module, all or nothing.

    Args:
        path: the file.
        module: the network.
        metadata: strings to keep with the weights; a digest of the tensors is added, and for a
            network of `create_model` what it was made with.
    """
    module = _uncompiled(module)
    tensors = _tensors(module)
    metadata = {**metadata, DIGEST: _digest(tensors)}
    if record := getattr(module, "network_record", None):
        metadata["network"] = json.dumps(record)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(save(tensors, metadata=metadata))


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings kept with the weights; reads only the head of the file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a safetensors file.
    """
    with _open(Path(path)) as file:
        return dict(file.metadata() or {})


def load_weights(path: str | Path, module: nn.Module) -> dict[str, str]:
    """Load weights written by `save_weights`, strictly.

    Args:
        path: the file.
        module: the network to load into; nothing is changed where anything does not fit.

    Returns:
        The metadata.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a safetensors file, its digest does not match its tensors, its
            names and shapes are not exactly the module's, a dtype does not fit into the module's,
            or a number is NaN or infinite.
    """
    path, module = Path(path), _uncompiled(module)
    with _open(path) as file:
        metadata = dict(file.metadata() or {})
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    if metadata.get(DIGEST) != _digest(tensors):
        raise CheckpointError(
            f"{path}: the weights do not match their {DIGEST}: copy the file again"
        )
    check_fits(str(path), tensors, module)
    _check_numbers(path, tensors, module)
    module.load_state_dict(tensors)
    vars(module)["loaded_digest"] = digest_of(module)
    return metadata


def digest_of(module: nn.Module) -> str:
    """SHA-256 over what `save_weights` would write of a module."""
    return _digest(_tensors(_uncompiled(module)))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    state = module.state_dict()
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in state.items()}


def check_fits(source: str, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """CheckpointError unless names and shapes are exactly those of the module's state dict."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in expected if name not in got]
    problems += [f"{name} is not part of the network" for name in got if name not in expected]
    problems += [
        f"{name} is {got[name]}, the network has {shape}"
        for name, shape in expected.items()
        if name in got and got[name] != shape
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{source} does not fit this {type(module).__name__}: {'; '.join(problems[:3])}{more}"
        )


def _uncompiled(module: nn.Module) -> nn.Module:
    """The network in a module of torch.compile, whose names have a prefix; others as they are."""
    return getattr(module, "_orig_mod", module)


def _check_numbers(path: Path, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """CheckpointError where a dtype does not fit into the module's, or a number is not finite."""
    for name, expected in module.state_dict().items():
        if not _holds(expected.dtype, tensors[name].dtype):
            raise CheckpointError(
                f"{path}: {name} is {tensors[name].dtype}, the network has {expected.dtype}"
            )
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointError(f"{path}: {name} has NaN or infinite numbers; train again")


def _holds(dtype: torch.dtype, other: torch.dtype) -> bool:
    """Whether all numbers of another dtype are numbers of this one, of the same kind."""
    if dtype.is_floating_point != other.is_floating_point:
        return False
    try:
        return torch.promote_types(dtype, other) == dtype
    except RuntimeError:  # float8 is not promoted
        return False


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, dtypes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
