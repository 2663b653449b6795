"""GSA-Nets: networks of group self-attention only (Romero & Cordonnier, 2021)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import count

from torch import Tensor, nn

from g_selfatt import groups
from g_selfatt import nn as gnn
from g_selfatt.functional import REDUCTIONS, invariant_pooling
from g_selfatt.functional.tracing import is_traced
from g_selfatt.models.classifier import checked_classes, forget_classes
from g_selfatt.models.group_transformer_presets import KEYS, preset
from g_selfatt.models.hub import HubModule
from g_selfatt.models.parts import in_parts
from g_selfatt.models.registry import register_model
from g_selfatt.models.stages import build_stages, odd_before_pooling, sides_of
from g_selfatt.nn.checks import check_choice, check_rates, whole_numbers
from g_selfatt.nn.positional_encoding import PositionMLP
from g_selfatt.nn.self_attention import SelfAttention

ATTENTION_TYPES = ("Local", "Global")


@register_model(
    {
        "z2sa": "z2",
        "mz2sa": "mz2",
        "p4sa": "p4",
        "p8sa": "p8",
        "p12sa": "p12",
        "p16sa": "p16",
        "p4msa": "p4m",
        "p8msa": "p8m",
    },
    arguments=preset,
    keys=KEYS,
)
class GroupTransformer(HubModule):
    """Lifting, blocks of attention with max-pooling between them, and an invariant classifier.

    Input dropout; lifting self-attention; norm; activation; per block its `TransformerBlock`s, each
    followed by norm and activation where asked; after every block but the last max-pooling 2×2 in
    space and dropout; a 1×1 convolution to the classes; the sum over space and the maximum over the
    group. A block of size 0 is its pooling only.

    Shape: ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``, invariant to the group (exactly
    for its ``grid_elements`` and images whose sides stay even up to each pooling).

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
        image_size: side of the images in pixels, or height and width.
        patch_size: side of the attention window in pixels, odd; None for global attention.
        attention_type: ``"Local"``, or ``"Global"`` for global attention whatever the window.
        activation_function: ``"Swish"`` or ``"ReLU"``.
        attention_dropout_rate: dropout of the attention weights, in [0, 1).
        value_dropout_rate: dropout of the attention's output, in [0, 1).
        input_dropout_rate: dropout of the pixels, in [0, 1).
        num_classes: number of classes; 0 for none, so that the network gives its features.
        whitening_scale: every convolution starts from N(0, whitening_scale² / fan_in).
        position_init_scale: 0 to start the position MLPs as all other layers, with zero biases;
            otherwise the scale of `PositionMLP.spread`.
        locality_init: 0 to start the heads all alike, as in the paper; otherwise the strength of
            `localize_heads`, for every attention layer; the position MLPs are then spread too.
        spatial_pooling: at the end, ``"sum"`` as in the paper, or ``"mean"``, so that the
            logits are of the same size for images of any size.
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
        image_size: int | Sequence[int],
        patch_size: int | None,
        activation_function: str,
        attention_dropout_rate: float,
        value_dropout_rate: float,
        input_dropout_rate: float = 0.0,
        num_classes: int,
        whitening_scale: float,
        attention_type: str = "Local",
        position_init_scale: float = 0.0,
        locality_init: float = 0.0,
        spatial_pooling: str = "sum",
        group_encoding: str = "equivariant",
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.group = groups.get(group)
        self._sizes_seen: set[tuple[int, ...]] = set()
        (num_channels,) = whole_numbers(num_channels=num_channels)
        if num_channels < 4 or num_channels // 2 % 2:
            raise ValueError(
                f"num_channels must be a multiple of 4, or one more, got {num_channels}: the "
                "lifting layer splits half of them, rounded down, between rows and columns"
            )
        check_rates(input_dropout_rate=input_dropout_rate)
        check_choice("attention_type", attention_type, ATTENTION_TYPES)
        if attention_type == "Global":
            patch_size = None
        check_choice("spatial_pooling", spatial_pooling, REDUCTIONS)
        self.spatial_pooling = spatial_pooling
        norm = gnn.choose("norm_type", norm_type, gnn.NORMS)
        activation = gnn.choose("activation_function", activation_function, gnn.ACTIVATIONS)
        lift, attend = (
            (gnn.LiftSelfAttention, gnn.GroupSelfAttention)
            if patch_size is None
            else (gnn.LiftLocalSelfAttention, gnn.GroupLocalSelfAttention)
        )
        attention_options: gnn.AttentionOptions = {
            "positional_encoding": positional_encoding,
            "backend": backend,
        }

        self.input_dropout = gnn.Dropout(input_dropout_rate)
        self.lifting_self_attention = lift(
            self.group,
            in_channels,
            num_channels // 2,
            num_channels,
            num_heads,
            max(sides_of(image_size)) if patch_size is None else patch_size,
            attention_dropout_rate,
            **attention_options,
        )
        self.lifting_normalization = norm(num_channels)
        self.lifting_activation = activation()

        def make_block(channels: int, out_channels: int, size: int, crop: int) -> nn.Module:
            if out_channels < 6:
                raise ValueError(
                    f"group attention takes at least 6 channels, got {out_channels}: take "
                    "num_channels 8, or a larger expansion_per_block"
                )
            attention = attend(
                self.group,
                channels,
                out_channels // 2,
                out_channels,
                num_heads,
                size if patch_size is None else patch_size,
                attention_dropout_rate,
                group_encoding=group_encoding,
                **attention_options,
            )
            return gnn.TransformerBlock(
                channels,
                out_channels,
                attention,
                norm_type,
                activation_function,
                crop,
                value_dropout_rate,
            )

        self.transformer, channels = build_stages(
            make_block,
            in_channels=num_channels,
            image_size=image_size,
            block_sizes=block_sizes,
            expansion_per_block=expansion_per_block,
            crop_per_layer=crop_per_layer,
            normalize_between_layers=normalize_between_layers,
            maxpool_after_last_block=maxpool_after_last_block,
            dropout_rate_after_maxpooling=dropout_rate_after_maxpooling,
            norm_type=norm_type,
            activation_function=activation_function,
        )
        self.num_features = channels
        self.whitening_scale = whitening_scale
        self.transformer.append(self._classifier(num_classes))
        gnn.initialize(self, whitening_scale)
        if position_init_scale or locality_init:
            for module in self.modules():
                if isinstance(module, PositionMLP):
                    module.spread(position_init_scale or 1.0)
        if locality_init:
            for module in self.modules():
                if isinstance(module, SelfAttention):
                    gnn.localize_heads(module, locality_init)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.transformer[-1]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one.

        Args:
            num_classes: number of classes; 0 for none, so that the network gives its features.
        """
        classifier = self._classifier(num_classes)
        gnn.initialize(classifier, self.whitening_scale)
        self.transformer[-1] = classifier.to(next(self.parameters())).train(self.training)
        forget_classes(self)

    def _classifier(self, num_classes: int) -> nn.Module:
        self.num_classes = num_classes = checked_classes(num_classes)
        if not num_classes:
            return nn.Identity()
        return gnn.Conv1x1(self.num_features, num_classes, bias=False)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute what is inside the blocks again in the backward: less memory, one more forward.

        Args:
            enable: whether to; False keeps all activations.
        """
        gnn.set_grad_checkpointing(self, enable)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → maps ``(B, num_features, |H|, H', W')``."""
        return self.transformer[:-1](self._lift(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps of `forward_features` → logits ``(B, num_classes)``.

        Args:
            x: the maps.
            pre_logits: leave out the classifier: ``(B, num_features)``, invariant to the group.
        """
        return invariant_pooling(x if pre_logits else self.transformer[-1](x), self.spatial_pooling)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``."""
        channels = self.lifting_self_attention.out_channels * self.group.num_elements
        return in_parts(self, self._classify, x, channels)

    def _classify(self, x: Tensor) -> Tensor:
        return invariant_pooling(self.transformer(self._lift(x)), self.spatial_pooling)

    def _lift(self, x: Tensor) -> Tensor:
        if not is_traced(x):
            self._warn_of_odd_sides(*x.shape[-2:])
        x = self.lifting_self_attention(self.input_dropout(x))
        return self.lifting_activation(self.lifting_normalization(x))

    def _warn_of_odd_sides(self, *sides: int) -> None:
        """Once for each size, where a pooling drops a row or a column that the group moves."""
        if sides in self._sizes_seen:
            return
        self._sizes_seen.add(sides)
        moved = self.group.moved_axes
        odd = [
            odd_before_pooling(self.transformer, s) * m for s, m in zip(sides, moved, strict=True)
        ]
        if not any(odd):
            return
        exact = [
            next(s for s in count(side) if not (m and odd_before_pooling(self.transformer, s)))
            for side, m in zip(sides, moved, strict=True)
        ]
        warnings.warn(
            f"images of {sides[0]}×{sides[1]} pixels: a side of {max(odd)} pixels is pooled by 2, "
            f"which drops its last pixel, so the network is equivariant to {self.group.name} only "
            f"approximately; the next size that is exact is {exact[0]}×{exact[1]}",
            stacklevel=2,
        )
