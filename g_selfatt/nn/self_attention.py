"""The base of the four attention layers: lifting or on the group, local or global."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from g_selfatt.backends import check_backend_name
from g_selfatt.functional import attention_weights, group_index, self_attention
from g_selfatt.functional.tracing import is_traced
from g_selfatt.groups import Group, get
from g_selfatt.groups.tables import cached_table
from g_selfatt.nn.checks import check_axes, check_choice, check_rates, whole_numbers
from g_selfatt.nn.elementary import Conv1x1
from g_selfatt.nn.neighbourhood import WholeImage, Window
from g_selfatt.nn.one_node import one_node
from g_selfatt.nn.positional_encoding import (
    PositionMLP,
    as_made,
    check_table_encoding,
    encode_by_mlp,
    encode_by_table,
    weights_of,
)
from g_selfatt.nn.projections import are_plain, project
from g_selfatt.nn.table_cache import TableCache

POSITIONAL_ENCODINGS = ("mlp", "table")
PROJECTED_BYTES = 2**22  # of the queries that one thread takes at once, without gradients


class AttentionOptions(TypedDict, total=False):
    """The keywords that all four attention layers take; `SelfAttention` has their defaults.

    Args:
        positional_encoding: encoding of a coordinate of an offset, ``"mlp"``, or ``"table"`` for
            groups that map the pixel grid to itself.
        backend: name of the implementation, ``"auto"`` or one of `g_selfatt.backends.BACKENDS`.
        device: device of the weights.
        dtype: dtype of the weights.
    """

    positional_encoding: str
    backend: str
    device: torch.device | str | None
    dtype: torch.dtype | None


class _Factory(TypedDict):
    device: torch.device | str | None
    dtype: torch.dtype | None


class SelfAttention(nn.Module):
    """Projections, positional encodings and the attention between them.

    The base of the four layers in `attention_layers`. Lifting is the case without an input group
    axis, and so without a group encoding; local and global differ in their neighbourhood only.

    Args:
        group: the group, or its name.
        in_channels: channels of the input.
        mid_channels: width c of one head.
        out_channels: channels of the output.
        num_heads: number of heads.
        neighbourhood: the keys that a query sees.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        group_encoding: name of φ; None for lifting.
        positional_encoding, backend, device, dtype: as in `AttentionOptions`.

    Raises:
        ValueError: an argument out of its range, with what would be right.
    """

    def __init__(
        self,
        group: Group | str,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_heads: int,
        neighbourhood: Window | WholeImage,
        attention_dropout_rate: float = 0.0,
        *,
        group_encoding: str | None,
        positional_encoding: str = "mlp",
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_rates(attention_dropout_rate=attention_dropout_rate)
        in_channels, mid_channels, out_channels, num_heads = whole_numbers(
            in_channels=in_channels,
            mid_channels=mid_channels,
            out_channels=out_channels,
            num_heads=num_heads,
        )
        check_choice("positional_encoding", positional_encoding, POSITIONAL_ENCODINGS)
        check_backend_name(backend)
        self.group = group = get(group)
        self.lifting = group_encoding is None
        self.in_channels = in_channels
        self.mid_channels = mid_channels
        self.out_channels = out_channels
        self.num_heads = num_heads
        self.neighbourhood = neighbourhood
        self.attention_dropout_rate = attention_dropout_rate
        self.group_encoding = group_encoding
        self.positional_encoding = positional_encoding
        self.backend = backend
        self.channels_per_coordinate = _channels_per_coordinate(mid_channels, self.lifting)
        factory: _Factory = {"device": device, "dtype": dtype}
        self.row_embedding, self.col_embedding = (
            self._make_position_embedding(factory) for _ in range(2)
        )
        self._tables = TableCache()
        if group_encoding is not None:
            group_index(group, group_encoding)  # refuses what the first forward would
            self.group_embedding = nn.Embedding(
                group.num_elements, mid_channels - 2 * self.channels_per_coordinate, **factory
            )
        dimension = 2 if self.lifting else 3
        self.query, self.key, self.value = (
            Conv1x1(in_channels, num_heads * mid_channels, dimension=dimension, **factory)
            for _ in range(3)
        )
        self.wout = Conv1x1(num_heads * mid_channels, out_channels, **factory)

    @one_node
    def forward(
        self, x: Tensor, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` (lifting) or ``(B, C, |H|, H, W)`` → ``(B, C_out, |H|, H, W)``.

        Args:
            x: input map.
            return_attention: whether to return the attention of each pixel as well.

        Returns:
            The output. With return_attention, the pair of the same output and the attention
            ``(B, heads, |H|, H, W, keys)``: entry ``[b, n, h, y, x]`` is the weight that output
            element h at pixel (y, x) gives to every key pixel, summed over the query elements g, as
            the output is, and over the key elements m. It sums to |H| over the keys; to 1 for
            lifting, which has a single g. Keys are row-major:

            - local: the k·k offsets of the window; ``attention.unflatten(-1, (k, k))[..., r, s]``
              belongs to the key at (y + r − k // 2, x + s − k // 2), 0 where that is outside.
            - global: the H·W pixels of the image; ``attention.unflatten(-1, (H, W))[..., r, s]``
              belongs to the key at (r, s).

            It is without dropout, carries no gradient, and is computed in plain PyTorch whatever
            the backend.

        Raises:
            ValueError: x has other axes or another number of channels.
        """
        axes = (self.in_channels,) if self.lifting else (self.in_channels, self.group.num_elements)
        check_axes(self, self.group, x, *axes)
        encodings = (
            self._encode_positions(self.neighbourhood.window(*x.shape[-2:])),
            *self._encode_elements(x.device),
        )
        if not return_attention:
            if self._runs_at_once(x):
                return self._attend(x, encodings)[0]
            parts = x.tensor_split(-(-len(x) // self._together(x)))
            return torch.cat([self._attend(part, encodings)[0] for part in parts])
        output, query, key = self._attend(x, encodings)
        whole_image = isinstance(self.neighbourhood, WholeImage)
        scale = self.in_channels**-0.5
        return output, attention_weights(
            query, key, *encodings, scale=scale, whole_image=whole_image
        )

    def _attend(
        self, x: Tensor, encodings: tuple[Tensor, Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The output, and the queries and keys that it came from."""
        query, key, value = map(self._split_heads, project((self.query, self.key, self.value), x))
        output = self_attention(
            query,
            key,
            value,
            *encodings,
            scale=self.in_channels**-0.5,
            dropout_rate=self.attention_dropout_rate if self.training else 0.0,
            backend=self.backend,
        )  # (B, heads, c, |H|, H, W)
        return self.wout(output.transpose(1, 2).flatten(1, 2)), query, key

    def _runs_at_once(self, x: Tensor) -> bool:
        """Whether to take all images together, or `_together` at a time."""
        if torch.is_grad_enabled() or not x.is_cpu or is_traced(x) or len(x) <= self._together(x):
            return True
        # A reentrant checkpoint takes the images again with gradients, and needs the same masks.
        if self.training and self.attention_dropout_rate > 0:
            return True
        # What else may be in place of the projections is to see the whole batch.
        return not are_plain((self.query, self.key, self.value, self.wout))

    def _together(self, x: Tensor) -> int:
        """How many images to take at once on a CPU without gradients, where nothing is kept.

        Few enough for their queries, keys and values to stay in the cache and in memory that is
        used again.
        """
        numbers = self.num_heads * self.mid_channels * self.group.num_elements
        size = numbers * x.shape[-2] * x.shape[-1] * x.itemsize
        return max(torch.get_num_threads() * PROJECTED_BYTES // max(size, 1), 1)

    def _make_position_embedding(self, factory: _Factory) -> nn.Module:
        channels = self.channels_per_coordinate
        if self.positional_encoding == "mlp":
            return PositionMLP(channels, **factory)
        check_table_encoding(self.group)
        return nn.Embedding(2 * self.neighbourhood.reach + 1, channels, **factory)

    def _encode_elements(self, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """E ``(|H|, e)`` and φ ``(|H|, |H|, |H|)``; for lifting, neither."""
        group, encoding = self.group, self.group_encoding
        if encoding is None:
            return None, None
        embedding = self.group_embedding
        rows = embedding.weight if as_made(embedding) else embedding(group.elements.to(device))
        # Not a buffer: what averages the buffers of networks would change it.
        index = cached_table(
            group,
            ("group_index", encoding, str(device)),
            lambda: group_index(group, encoding).to(device),
        )
        return rows, index

    def _encode_positions(self, window: tuple[int, int]) -> Tensor:
        """``(|H|, d, K_h, K_w)``; in eval mode and without gradients only once."""
        embeddings = (self.row_embedding, self.col_embedding)
        if self.training or torch.is_grad_enabled() or not all(map(as_made, embeddings)):
            return self._compute_table(window)
        parts = [part for embedding in embeddings for part in embedding.modules()]
        key = (window, *(getattr(part, "eps", None) for part in parts))
        return self._tables.get(key, weights_of(parts), lambda: self._compute_table(window))

    def _compute_table(self, window: tuple[int, int]) -> Tensor:
        like: Tensor | None = next(self.row_embedding.parameters(), None)
        if like is None:
            like = weights_of(self.row_embedding.modules())[0]
        encode = encode_by_table if self.positional_encoding == "table" else encode_by_mlp
        return encode(
            self.row_embedding,
            self.col_embedding,
            self.group,
            window,
            self.neighbourhood.reach,
            like=like,
        )

    def _split_heads(self, x: Tensor) -> Tensor:
        """``(B, c·heads, [|H|,] H, W)`` → ``(B, heads, c, G, H, W)``: a view."""
        if self.lifting:
            x = x.unsqueeze(2)
        return x.unflatten(1, (self.mid_channels, self.num_heads)).transpose(1, 2)

    def extra_repr(self) -> str:
        encoding = "" if self.lifting else f", group_encoding={self.group_encoding!r}"
        return (
            f"{self.group.name}, {self.in_channels} → {self.num_heads}×{self.mid_channels} → "
            f"{self.out_channels}, {self.neighbourhood}{encoding}, backend={self.backend!r}"
        )


def _channels_per_coordinate(mid_channels: int, lifting: bool) -> int:
    """How many of a head's query channels meet ROW, and as many COL; the rest meet E."""
    if lifting and mid_channels % 2:
        raise ValueError(
            f"lifting splits mid_channels between rows and columns: it must be even, "
            f"got {mid_channels}"
        )
    channels = mid_channels // (2 if lifting else 3)
    if channels < 1:
        raise ValueError(
            f"mid_channels must be at least {2 if lifting else 3}, one for each encoding, "
            f"got {mid_channels}"
        )
    return channels
