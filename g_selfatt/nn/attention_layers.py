"""The four attention layers of GSA-Nets (Romero & Cordonnier, 2021).

Lifting layers take a map on the plane to a map on the group; group layers keep it there. Local
layers see a k×k window, global layers the whole image. All of them are `SelfAttention`.
"""

from __future__ import annotations

from g_selfatt.groups import Group
from g_selfatt.nn.extent import GlobalExtent, LocalExtent
from g_selfatt.nn.self_attention import SelfAttention


class LiftSelfAttention(SelfAttention):
    """Global self-attention from the plane to the group.

        s[h,i; j] = (q[i]·k[j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))) / √in_channels
        out[h,i]  = W_out · concat over heads of Σ_j softmax_j(s[h,i; ·])·v[j]

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W, also
    larger than trained.

    Args:
        group: the group to lift to.
        in_channels: channels of the input.
        mid_channels: width c of one head, even.
        out_channels: channels of the output.
        num_heads: number of heads.
        max_pos_embedding: side of the images it is made for, in pixels; offset
            max_pos_embedding − 1 is coordinate 1.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        positional_encoding: ``"mlp"``, or ``"table"`` for groups that map the pixel grid to itself.
        backend: ``"auto"`` or one of `g_selfatt.backends.BACKENDS`.

    Raises:
        ValueError: an argument out of its range, with what would be right.
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_heads: int,
        max_pos_embedding: int,
        attention_dropout_rate: float,
        *,
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            GlobalExtent(max_pos_embedding),
            attention_dropout_rate,
            group_encoding=None,
            positional_encoding=positional_encoding,
            backend=backend,
        )


class LiftLocalSelfAttention(SelfAttention):
    """Self-attention in a window, from the plane to the group.

    As `LiftSelfAttention`, with keys from the window alone; keys outside the image do not exist.
    The arguments not listed are the same.

    Args:
        patch_size: side k of the window in pixels, odd; offset k // 2 is coordinate 1.

    Raises:
        ValueError: an argument out of its range, with what would be right.
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_heads: int,
        patch_size: int,
        attention_dropout_rate: float,
        *,
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            LocalExtent(patch_size),
            attention_dropout_rate,
            group_encoding=None,
            positional_encoding=positional_encoding,
            backend=backend,
        )


class GroupSelfAttention(SelfAttention):
    """Global self-attention on the group.

        s[h,g,i; m,j] = (q[g,i]·k[m,j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))
                         + q_grp·E[φ(h,g,m)]) / √in_channels
        out[h,i]      = W_out · concat over heads of Σ_g Σ_{m,j} softmax_{(m,j)}(s[h,g,i; ·])·v[m,j]

    Shape: ``(B, in_channels, |H|, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W.

    The arguments not listed are those of `LiftSelfAttention`.

    Args:
        mid_channels: width c of one head, at least 3: c // 3 channels each meet ROW and COL, the
            rest E.
        group_encoding: φ by name, ``"equivariant"``, ``"relative"``, ``"gevit"`` or ``"paper"``;
            `g_selfatt.functional.group_index` says what each does.

    Raises:
        ValueError: an argument out of its range, with what would be right.
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_heads: int,
        max_pos_embedding: int,
        attention_dropout_rate: float,
        *,
        group_encoding: str = "equivariant",
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            GlobalExtent(max_pos_embedding),
            attention_dropout_rate,
            group_encoding=group_encoding,
            positional_encoding=positional_encoding,
            backend=backend,
        )


class GroupLocalSelfAttention(SelfAttention):
    """Self-attention in a window, on the group.

    As `GroupSelfAttention`, with keys from the window alone; keys outside the image do not exist.
    The arguments not listed are the same.

    Args:
        patch_size: side k of the window in pixels, odd; offset k // 2 is coordinate 1.

    Raises:
        ValueError: an argument out of its range, with what would be right.
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_heads: int,
        patch_size: int,
        attention_dropout_rate: float,
        *,
        group_encoding: str = "equivariant",
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            LocalExtent(patch_size),
            attention_dropout_rate,
            group_encoding=group_encoding,
            positional_encoding=positional_encoding,
            backend=backend,
        )
