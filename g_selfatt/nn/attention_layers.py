"""The four attention layers of GSA-Nets (Romero & Cordonnier, 2021).

Lifting layers take a map on the plane to a map on the group; group layers keep it there. Local
layers see a k×k window, global layers the whole image. All of them are `SelfAttention`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeVar

from g_selfatt.functional import GROUP_ENCODINGS
from g_selfatt.groups import Group
from g_selfatt.nn.checks import check_choice
from g_selfatt.nn.neighbourhood import WholeImage, Window
from g_selfatt.nn.self_attention import AttentionOptions, SelfAttention

if TYPE_CHECKING:
    from typing_extensions import Unpack

Layer = TypeVar("Layer", bound=type[SelfAttention])


def _with_options(layer: Layer) -> Layer:
    """Show the keywords of `AttentionOptions` in a layer's signature and help, as its own."""
    signature = inspect.signature(layer.__init__)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    base = inspect.signature(SelfAttention.__init__).parameters
    shared = [base[name] for name in AttentionOptions.__annotations__]
    layer.__init__.__signature__ = signature.replace(parameters=own + shared)  # type: ignore
    described = (AttentionOptions.__doc__ or "").partition("Args:")[2].strip()
    layer.__doc__ = (layer.__doc__ or "").replace(
        "**options: keywords of `AttentionOptions`.", described
    )
    return layer


@_with_options
class LiftSelfAttention(SelfAttention):
    """Global self-attention from the plane to the group.

        s[h,i; j] = (q[i]·k[j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))) / √in_channels
        out[h,i]  = W_out · concat over heads of Σ_j softmax_j(s[h,i; ·])·v[j]

    The keys j are all pixels of the image.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W, also
    larger than trained.

    Examples:
        >>> layer = LiftSelfAttention("p4m", 3, 8, 16, num_heads=4, max_pos_embedding=12)
        >>> layer(torch.randn(2, 3, 12, 12)).shape
        torch.Size([2, 16, 8, 12, 12])

    Args:
        group: the group to lift to, or its name.
        in_channels: channels of the input.
        mid_channels: width c of one head, even: c / 2 channels each meet ROW and COL.
        out_channels: channels of the output.
        num_heads: number of heads.
        max_pos_embedding: side of the images that the layer is made for, in pixels; offset
            max_pos_embedding − 1 is coordinate 1.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        **options: keywords of `AttentionOptions`.

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
        max_pos_embedding: int,
        attention_dropout_rate: float = 0.0,
        **options: Unpack[AttentionOptions],
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            WholeImage(max_pos_embedding),
            attention_dropout_rate,
            group_encoding=None,
            **options,
        )


@_with_options
class LiftLocalSelfAttention(SelfAttention):
    """Local self-attention from the plane to the group.

        s[h,i; j] = (q[i]·k[j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))) / √in_channels
        out[h,i]  = W_out · concat over heads of Σ_j softmax_j(s[h,i; ·])·v[j]

    The keys j are the pixels of a window around i that lie inside the image.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W.

    Examples:
        >>> layer = LiftLocalSelfAttention("p4m", 3, 8, 16, num_heads=4, patch_size=5)
        >>> layer(torch.randn(2, 3, 12, 12)).shape
        torch.Size([2, 16, 8, 12, 12])

    Args:
        group: the group to lift to, or its name.
        in_channels: channels of the input.
        mid_channels: width c of one head, even: c / 2 channels each meet ROW and COL.
        out_channels: channels of the output.
        num_heads: number of heads.
        patch_size: side k of the window in pixels, odd; offset k // 2 is coordinate 1.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        **options: keywords of `AttentionOptions`.

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
        patch_size: int,
        attention_dropout_rate: float = 0.0,
        **options: Unpack[AttentionOptions],
    ) -> None:
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            Window(patch_size),
            attention_dropout_rate,
            group_encoding=None,
            **options,
        )


@_with_options
class GroupSelfAttention(SelfAttention):
    """Global self-attention on the group.

        s[h,g,i; m,j] = (q[g,i]·k[m,j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))
                         + q_grp·E[φ(h,g,m)]) / √in_channels
        out[h,i]      = W_out · concat over heads of Σ_g Σ_{m,j} softmax_{(m,j)}(s[h,g,i; ·])·v[m,j]

    The keys (m, j) are all elements of the group at all pixels of the image.

    Shape: ``(B, in_channels, |H|, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W, also
    larger than trained.

    Examples:
        >>> layer = GroupSelfAttention("p4m", 16, 9, 16, num_heads=4, max_pos_embedding=12)
        >>> layer(torch.randn(2, 16, 8, 12, 12)).shape
        torch.Size([2, 16, 8, 12, 12])

    Args:
        group: the group, or its name.
        in_channels: channels of the input.
        mid_channels: width c of one head, at least 3: c // 3 channels each meet ROW and COL, the
            rest E.
        out_channels: channels of the output.
        num_heads: number of heads.
        max_pos_embedding: side of the images that the layer is made for, in pixels; offset
            max_pos_embedding − 1 is coordinate 1.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        group_encoding: name of φ, ``"equivariant"``, ``"relative"``, ``"gevit"`` or ``"paper"``;
            the first three are equivariant (`g_selfatt.functional.group_index` has the formulas).
        **options: keywords of `AttentionOptions`.

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
        max_pos_embedding: int,
        attention_dropout_rate: float = 0.0,
        *,
        group_encoding: str = "equivariant",
        **options: Unpack[AttentionOptions],
    ) -> None:
        check_choice("group_encoding", group_encoding, GROUP_ENCODINGS)  # None would be lifting
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            WholeImage(max_pos_embedding),
            attention_dropout_rate,
            group_encoding=group_encoding,
            **options,
        )


@_with_options
class GroupLocalSelfAttention(SelfAttention):
    """Local self-attention on the group.

        s[h,g,i; m,j] = (q[g,i]·k[m,j] + q_row·ROW(row(h·δ)) + q_col·COL(col(h·δ))
                         + q_grp·E[φ(h,g,m)]) / √in_channels
        out[h,i]      = W_out · concat over heads of Σ_g Σ_{m,j} softmax_{(m,j)}(s[h,g,i; ·])·v[m,j]

    The keys (m, j) are all elements of the group at the pixels of a window around i that lie inside
    the image.

    Shape: ``(B, in_channels, |H|, H, W)`` → ``(B, out_channels, |H|, H, W)``, for any H and W.

    Examples:
        >>> layer = GroupLocalSelfAttention("p4m", 16, 9, 16, num_heads=4, patch_size=5)
        >>> layer(torch.randn(2, 16, 8, 12, 12)).shape
        torch.Size([2, 16, 8, 12, 12])

    Args:
        group: the group, or its name.
        in_channels: channels of the input.
        mid_channels: width c of one head, at least 3: c // 3 channels each meet ROW and COL, the
            rest E.
        out_channels: channels of the output.
        num_heads: number of heads.
        patch_size: side k of the window in pixels, odd; offset k // 2 is coordinate 1.
        attention_dropout_rate: probability of dropping an attention weight, in [0, 1).
        group_encoding: name of φ, ``"equivariant"``, ``"relative"``, ``"gevit"`` or ``"paper"``;
            the first three are equivariant (`g_selfatt.functional.group_index` has the formulas).
        **options: keywords of `AttentionOptions`.

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
        patch_size: int,
        attention_dropout_rate: float = 0.0,
        *,
        group_encoding: str = "equivariant",
        **options: Unpack[AttentionOptions],
    ) -> None:
        check_choice("group_encoding", group_encoding, GROUP_ENCODINGS)  # None would be lifting
        super().__init__(
            group,
            in_channels,
            mid_channels,
            out_channels,
            num_heads,
            Window(patch_size),
            attention_dropout_rate,
            group_encoding=group_encoding,
            **options,
        )
