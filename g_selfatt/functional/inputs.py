"""The arguments of the attention, checked and clipped once for every backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from g_selfatt.functional.tracing import holds, is_traced, is_transformed


@dataclass(eq=False)
class AttentionInputs:
    """The arguments of `g_selfatt.functional.self_attention`, whose docstring has the shapes.

    Attributes:
        positional_table: the table, clipped to the offsets that two pixels of the image can have.

    Raises:
        ValueError: shapes that do not fit together, several dtypes outside autocast, several
            devices, or a group_index that is not of rows of the embedding.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    positional_table: Tensor
    group_embedding: Tensor | None
    group_index: Tensor | None
    scale: float
    dropout_rate: float

    def __post_init__(self) -> None:
        q, table = self.query, self.positional_table
        if q.dim() != 6 or not q.shape == self.key.shape == self.value.shape:
            raise ValueError(
                "query, key and value must all be (B, heads, c, G, H, W), got "
                f"{tuple(q.shape)}, {tuple(self.key.shape)} and {tuple(self.value.shape)}"
            )
        if table.dim() != 4 or table.shape[1] > q.shape[2]:
            raise ValueError(
                f"positional_table must be (|H|, d ≤ {q.shape[2]}, K_h, K_w), "
                f"got {tuple(table.shape)}"
            )
        if table.shape[2] % 2 == 0 or table.shape[3] % 2 == 0:
            raise ValueError(f"the window must have odd sides, got {tuple(table.shape[2:])}")
        if not isinstance(self.scale, (Real, torch.SymFloat)):
            raise ValueError(
                f"scale must be a number, got {type(self.scale).__name__}; for one that is learnt, "
                "multiply the query with it"
            )
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ValueError(f"dropout_rate must be in [0, 1), got {self.dropout_rate}")
        if (self.group_embedding is None) != (self.group_index is None):
            raise ValueError("group_embedding and group_index go together: pass both or neither")
        _check_types(q, self.key, self.value, table, self.group_embedding, self.group_index)
        if self.group_embedding is not None and self.group_index is not None:
            shape = (table.shape[0], q.shape[3], q.shape[3])
            _check_group(q, self.group_embedding, self.group_index, shape)
        self.positional_table = _clip(table, self.every_offset)

    @property
    def every_offset(self) -> tuple[int, int]:
        """The window that holds every offset of the image: ``(2H − 1, 2W − 1)``."""
        height, width = self.query.shape[-2:]
        return 2 * height - 1, 2 * width - 1

    @property
    def window(self) -> tuple[int, int]:
        """The window ``(K_h, K_w)`` of the clipped table."""
        height, width = self.positional_table.shape[-2:]
        return height, width

    @property
    def whole_image(self) -> bool:
        """Whether every query sees every pixel: global attention."""
        pairs = zip(self.window, self.every_offset, strict=True)
        return all(holds(side == most) for side, most in pairs)

    @property
    def transformed(self) -> bool:
        """Whether `torch.func` or forward-mode differentiation looks into the computation."""
        floats = (self.query, self.key, self.value, self.positional_table, self.group_embedding)
        return is_transformed(*floats)


def _check_types(query: Tensor, *others: Tensor | None) -> None:
    """ValueError unless all are on one device, and all but the last of one floating dtype."""
    given = [query, *(t for t in others if t is not None)]
    if any(t.device != query.device for t in given):
        raise ValueError(
            f"all tensors must be on one device, got {_names(t.device for t in given)}"
        )
    floats = [query, *(t for t in others[:-1] if t is not None)]
    if not all(t.is_floating_point() for t in floats):
        raise ValueError(
            "all tensors but group_index must be of a floating dtype, got "
            f"{_names(t.dtype for t in floats)}"
        )
    if any(t.dtype != query.dtype for t in floats) and not autocasts(query.device.type):
        raise ValueError(
            f"all tensors but group_index must be of one dtype, got "
            f"{_names(t.dtype for t in floats)}; only under torch.autocast may they differ"
        )


def autocasts(device_type: str) -> bool:
    """Whether torch.autocast is on for a type of device."""
    return _can_autocast(device_type) and torch.is_autocast_enabled(device_type)


@torch.compiler.assume_constant_result
def _can_autocast(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type)


def _names(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value).removeprefix("torch.") for value in values))


def _check_group(
    query: Tensor, embedding: Tensor, index: Tensor, shape: tuple[int, int, int]
) -> None:
    """ValueError unless every entry of the index is a row of the embedding, and both fit."""
    channels = query.shape[2]
    if embedding.dim() != 2 or embedding.shape[1] > channels:
        raise ValueError(
            f"group_embedding must be (rows, e ≤ {channels}), got {tuple(embedding.shape)}"
        )
    if index.shape != shape or index.dtype != torch.int64:
        raise ValueError(
            f"group_index must be (h, g, m) = {shape} int64, got {tuple(index.shape)} {index.dtype}"
        )
    if index.is_meta or is_traced(query) or is_transformed(query):
        return
    # Asked last: torch.compile cannot trace it.
    if index.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    check_rows(embedding, index)


def check_rows(embedding: Tensor, index: Tensor) -> None:
    """ValueError unless every entry of the index is a row of the embedding."""
    if index.numel() == 0:
        return
    # On the CPU it is cheap to look each time. Elsewhere the CPU would wait for the device.
    state = (None if index.is_inference() else index._version, len(embedding))
    if not index.is_cpu and _checked.get(index) == state:
        return
    least, most = (bound.item() for bound in index.aminmax())
    if least < 0 or most >= len(embedding):
        raise ValueError(
            f"group_index must hold rows of group_embedding, 0 … {len(embedding) - 1}, "
            f"got {least} … {most}"
        )
    if not index.is_cpu:
        _checked[index] = state


_checked = WeakIdKeyDictionary()
"""Indices that were found right: index → (version, rows of the embedding)."""


def _clip(table: Tensor, largest: tuple[int, int]) -> Tensor:
    """The middle of ``(|H|, d, K_h, K_w)``, no larger than ``largest``; as a rule, all of it."""
    for axis, most in zip((2, 3), largest, strict=True):
        side = table.shape[axis]
        if holds(side > most):
            table = table.narrow(axis, (side - most) // 2, most)
    return table
