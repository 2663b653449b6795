"""Load the checkpoints of the code released with GSA-Nets (2021) and with GE-ViT (2023)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from g_selfatt.functional.encoding import group_index
from g_selfatt.models.weight_files import check_fits
from g_selfatt.nn import GroupLocalSelfAttention, GroupSelfAttention

SOURCES = {"gsa-nets": "paper", "gevit": "gevit"}  # and the group_encoding of their numbers
INDEX_BUFFERS = ("row_indices", "col_indices", "g_indices")
GROUP_BUFFERS = ("_identity", "_elements", "_relative_positions")


def load_original_state_dict(
    module: nn.Module, state_dict: Mapping[str, Tensor], source: str = "gsa-nets"
) -> None:
    """Load a state dict of the released code into our network or layer of the same shape.

    Strips the ``module.`` of DataParallel, drops the index buffers by name (ours follow from the
    group), and is strict about everything else. The numbers of the released code come out with
    ``group_encoding="paper"`` for GSA-Nets and ``"gevit"`` for GE-ViT. GE-ViT rotates the other
    way, so that its rows of every group embedding are reordered to the inverse element. For groups
    with mirrors its layers are not equivariant, and ours have other numbers.

    Args:
        module: the network, e.g. a `GroupTransformer`, or an attention layer.
        state_dict: what the released code saved.
        source: ``"gsa-nets"`` or ``"gevit"``.

    Raises:
        ValueError: an unknown source, or names and shapes that are not the module's.

    Warns:
        UserWarning: the numbers of the released code do not come out.
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}; choose one of {', '.join(SOURCES)}")
    tensors = {
        name.removeprefix("module."): tensor
        for name, tensor in state_dict.items()
        if not _is_index_buffer(name)
    }
    check_fits(f"the {source} state dict", tensors, module)
    for prefix, layer in module.named_modules():
        if isinstance(layer, GroupSelfAttention | GroupLocalSelfAttention):
            _warn_of_other_numbers(layer, source)
            if source == "gevit":
                name = f"{prefix}.group_embedding.weight".removeprefix(".")
                tensors[name] = tensors[name][layer.group.inverse_table]
    module.load_state_dict(tensors)


def _warn_of_other_numbers(
    layer: GroupSelfAttention | GroupLocalSelfAttention, source: str
) -> None:
    encodings = str(layer.group_encoding), SOURCES[source]
    here, there = (group_index(layer.group, encoding) for encoding in encodings)
    if not torch.equal(here, there):
        problem = f"group_encoding={layer.group_encoding!r} in place of {SOURCES[source]!r}"
    elif source == "gevit" and (layer.group.matrices.det() < 0).any():
        problem = f"{layer.group.name} has mirrors, for which GE-ViT is not equivariant"
    else:
        return
    warnings.warn(f"other numbers than those of {source}: {problem}", stacklevel=3)


def _is_index_buffer(name: str) -> bool:
    *parents, last = name.split(".")
    return last in INDEX_BUFFERS or (last in GROUP_BUFFERS and parents[-1:] == ["group"])
