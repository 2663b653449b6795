"""The residual block of GSA-Nets."""

from __future__ import annotations

from torch import Tensor, nn

from g_selfatt.nn.checkpointing import checkpointed
from g_selfatt.nn.checks import check_rates
from g_selfatt.nn.elementary import ACTIVATIONS, NORMS, Conv1x1, Crop, Dropout, choose


class TransformerBlock(nn.Module):
    """An attention layer and a pointwise MLP, each with a shortcut.

        x ── norm · act · attention · norm · act · dropout ── crop ── + ── y ── mlp ── + ── out
        └───────────────── (1×1 conv) ─────────────────────── crop ───┘    └───────────┘

    Shape: ``(B, in_channels, |H|, H, W)`` →
    ``(B, out_channels, |H|, H − 2·crop_size, W − 2·crop_size)``.

    Args:
        in_channels, out_channels: number of channels; the shortcut is a 1×1 convolution where they
            differ.
        attention_layer: group self-attention layer from in_channels to out_channels.
        norm_type: name of the norm, ``"LayerNorm"`` or ``"BatchNorm"``.
        activation_function: name of the activation, ``"Swish"`` or ``"ReLU"``.
        crop_size: pixels taken off every side after the attention.
        value_dropout_rate: dropout of the attention's output, in [0, 1).

    Raises:
        ValueError: an unknown norm_type or activation_function, a rate out of its range, an
            attention layer of other channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        attention_layer: nn.Module,
        norm_type: str,
        activation_function: str,
        crop_size: int,
        value_dropout_rate: float,
    ) -> None:
        super().__init__()
        check_rates(value_dropout_rate=value_dropout_rate)
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if (found := getattr(attention_layer, name, count)) != count:
                raise ValueError(f"{name} of the attention_layer must be {count}, got {found}")
        norm = choose("norm_type", norm_type, NORMS)
        activation = choose("activation_function", activation_function, ACTIVATIONS)
        hidden = max(out_channels // 2, 1)
        self.attention = nn.Sequential(
            norm(in_channels),
            activation(),
            attention_layer,
            norm(out_channels),
            activation(),
            Dropout(value_dropout_rate),
        )
        self.mlp = nn.Sequential(
            Conv1x1(out_channels, hidden),
            norm(hidden),
            activation(),
            Conv1x1(hidden, out_channels),
            norm(out_channels),
        )
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            self.shortcut.append(Conv1x1(in_channels, out_channels))
        self.crop = Crop(crop_size)

    @checkpointed
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, |H|, H, W)`` → ``(B, C_out, |H|, H − 2·crop_size, W − 2·crop_size)``.

        Raises:
            ValueError: x does not fit the attention layer, or crop_size leaves nothing of it.
        """
        y = self.crop(self.attention(x)) + self.crop(self.shortcut(x))
        return y + self.mlp(y)
