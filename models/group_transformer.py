"""GSA-Nets: networks of group self-attention alone (Romero & Cordonnier, 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from g_selfatt import groups
from g_selfatt import nn as gnn
from g_selfatt.functional import invariant_pooling
from g_selfatt.nn.positional_encoding import PositionMLP


class GroupTransformer(nn.Module):
    """Lifting, blocks of attention with max-pooling between them, and an invariant classifier.

    Input dropout; lifting self-attention; norm; activation; per block its `TransformerBlock`s, each
    followed by norm and activation where asked; after every block but the last max-pooling 2×2 in
    space and dropout; a 1×1 convolution to the classes; the sum over space and the maximum over the
    group. A block of size 0 is its pooling alone.

    Shape: ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``, invariant to the group (exactly
    for multiples of 90° and mirrors of images whose sides stay even up to each pooling).

    Args:
        group: a `Group` or its name.
        in_channels: channels of the images.
        num_channels: channels after the lifting.
        num_heads: heads of every attention layer.
        norm_type: ``"LayerNorm"`` or ``"BatchNorm"``.
        block_sizes: attention layers per block.
        expansion_per_block: factor on the channels at the first layer of every block; one number
            for all, or one per block.
        crop_per_layer: pixels taken off every side after each attention layer; one number for all,
            or one per layer.
        normalize_between_layers: whether norm and activation follow every layer.
        maxpool_after_last_block: whether the last block is followed by pooling too.
        dropout_rate_after_maxpooling: dropout after each pooling, in [0, 1).
        image_size: side of the images in pixels.
        patch_size: side of the attention window in pixels, odd; None for global attention.
        activation_function: ``"Swish"`` or ``"ReLU"``.
        attention_dropout_rate: dropout of the attention weights, in [0, 1).
        value_dropout_rate: dropout of the attention's output, in [0, 1).
        input_dropout_rate: dropout of the pixels, in [0, 1).
        num_classes: number of classes.
        whitening_scale: every convolution starts from N(0, whitening_scale² / fan_in).
        position_init_scale: 0 to start the position MLPs as all other layers, with zero biases;
            otherwise the scale of `PositionMLP.spread`.
        group_encoding, positional_encoding, backend: of the attention layers.

    Raises:
        ValueError: an argument out of its range, or crops that leave nothing of the image.
    """

    def __init__(
        self,
        *,
        group: groups.Group | str,
        in_channels: int,
        num_channels: int,
        num_heads: int,
        norm_type: str,
        block_sizes: Sequence[int],
        expansion_per_block: int | Sequence[int],
        crop_per_layer: int | Sequence[int],
        normalize_between_layers: bool,
        maxpool_after_last_block: bool,
        dropout_rate_after_maxpooling: float,
        image_size: int,
        patch_size: int | None,
        activation_function: str,
        attention_dropout_rate: float,
        value_dropout_rate: float,
        input_dropout_rate: float = 0.0,
        num_classes: int,
        whitening_scale: float,
        position_init_scale: float = 0.0,
        group_encoding: str = "equivariant",
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.group = groups.get(group) if isinstance(group, str) else group
        expansions = _one_each("expansion_per_block", expansion_per_block, len(block_sizes))
        crops = iter(_one_each("crop_per_layer", crop_per_layer, sum(block_sizes)))
        norm = gnn.choose("norm_type", norm_type, gnn.NORMS)
        activation = gnn.choose("activation_function", activation_function, gnn.ACTIVATIONS)
        lift, attend = (
            (gnn.LiftSelfAttention, gnn.GroupSelfAttention)
            if patch_size is None
            else (gnn.LiftLocalSelfAttention, gnn.GroupLocalSelfAttention)
        )
        attention_options = {"positional_encoding": positional_encoding, "backend": backend}

        self.input_dropout = nn.Dropout(input_dropout_rate)
        self.lifting_self_attention = lift(
            self.group,
            in_channels,
            num_channels // 2,
            num_channels,
            num_heads,
            patch_size or image_size,
            attention_dropout_rate,
            **attention_options,
        )
        self.lifting_normalization = norm(num_channels)
        self.lifting_activation = activation()

        self.transformer = nn.Sequential()
        channels, size = num_channels, image_size
        for block, (num_layers, expansion) in enumerate(zip(block_sizes, expansions, strict=True)):
            for layer in range(num_layers):
                out_channels = channels * expansion if layer == 0 else channels
                attention = attend(
                    self.group,
                    channels,
                    out_channels // 2,
                    out_channels,
                    num_heads,
                    patch_size or size,
                    attention_dropout_rate,
                    group_encoding=group_encoding,
                    **attention_options,
                )
                crop = next(crops)
                self.transformer.append(
                    gnn.TransformerBlock(
                        channels,
                        out_channels,
                        attention,
                        norm_type,
                        activation_function,
                        crop,
                        value_dropout_rate,
                    )
                )
                channels, size = out_channels, size - 2 * crop
                if normalize_between_layers:
                    self.transformer.append(norm(channels))
                    self.transformer.append(activation())
            if block + 1 < len(block_sizes) or maxpool_after_last_block:
                self.transformer.append(nn.MaxPool3d((1, 2, 2)))
                size //= 2
                if dropout_rate_after_maxpooling:
                    self.transformer.append(nn.Dropout(dropout_rate_after_maxpooling))
            if size < 1:
                raise ValueError(
                    f"crop_per_layer {crop_per_layer} and the pooling leave nothing of an image of "
                    f"{image_size} pixels after block {block + 1}"
                )
        self.transformer.append(gnn.Conv1x1(channels, num_classes, bias=False))
        gnn.initialise(self, whitening_scale)
        if position_init_scale:
            for module in self.modules():
                if isinstance(module, PositionMLP):
                    module.spread(position_init_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``."""
        x = self.lifting_self_attention(self.input_dropout(x))
        x = self.lifting_activation(self.lifting_normalization(x))
        return invariant_pooling(self.transformer(x))


def _one_each(name: str, value: int | Sequence[int], count: int) -> list[int]:
    """One number for each of ``count``; a single number is for all."""
    values = [value] * count if isinstance(value, int) else list(value)
    if len(values) != count:
        raise ValueError(f"{name} must be one number or {count} of them, got {values}")
    return values
