"""What every attention backend is given, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AttentionInputs:
    """The arguments of `g_selfatt.functional.self_attention`, whose docstring has the shapes.

    Raises:
        ValueError: shapes that do not fit together.
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
        if (self.group_embedding is None) != (self.group_index is None):
            raise ValueError("group_embedding and group_index go together: pass both or neither")
        expected = (table.shape[0], q.shape[3], q.shape[3])
        if self.group_index is not None and self.group_index.shape != expected:
            raise ValueError(
                f"group_index must be (h, g, m) = {expected}, got {tuple(self.group_index.shape)}"
            )
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ValueError(f"dropout_rate must be in [0, 1), got {self.dropout_rate}")
