"""CoAtNets on groups: convolutional stages, then stages with attention (Dai et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from g_selfatt import groups
from g_selfatt import nn as gnn
from g_selfatt.models.classifier import checked_classes, forget_classes
from g_selfatt.models.group_coatnet_presets import (
    KEYS,
    STAGE_ATTENTION,
    convolutional,
    with_attention,
)
from g_selfatt.models.hub import HubModule
from g_selfatt.models.registry import register_model
from g_selfatt.models.stages import each_whole, sides_of
from g_selfatt.nn.checks import check_rates, whole_numbers


@register_model(
    {
        "z2coatnet": "z2",
        "mz2coatnet": "mz2",
        "p4coatnet": "p4",
        "p8coatnet": "p8",
        "p16coatnet": "p16",
        "p4mcoatnet": "p4m",
    },
    arguments=with_attention,
    keys=KEYS,
)
@register_model(
    {
        "z2convnet": "z2",
        "mz2convnet": "mz2",
        "p4convnet": "p4",
        "p8convnet": "p8",
        "p16convnet": "p16",
        "p4mconvnet": "p4m",
    },
    arguments=convolutional,
    keys=KEYS,
)
class GroupCoAtNet(HubModule):
    """A lifting convolution, stages of convolution and attention, and an invariant classifier.

    Lifting convolution, norm, activation; stages; norm, activation; the mean over space, the
    maximum over the group, and a linear map to the classes. A stage is a max-pooling that halves
    the image; where the channels change, a group convolution, norm and activation; and blocks of
    three residual branches:

        x + norm(depthwise group convolution(x))
        x + norm(attention(norm(x)))               in the stages that have attention
        x + norm(1×1(act(norm(1×1(x)))))

    With ``"Off"`` in every stage it is a convolutional network, the twin to compare with.

    Shape: ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``, for any H and W, invariant to
    the group: exactly for its ``grid_elements``, whatever the size.

    Args:
        group: a `Group` or its name.
        in_channels: channels of the images.
        num_classes: number of classes; 0 for none, so that the network gives its features.
        image_size: side of the images in pixels, or height and width; it only sets the unit of
            global attention.
        stem_channels: channels after the lifting convolution.
        stem_kernel_size: side of its filters in pixels, odd.
        channels_per_stage: channels of each stage.
        blocks_per_stage: blocks of each stage.
        attention_per_stage: ``"Off"``, ``"Local"`` or ``"Global"`` for each stage.
        transition_kernel_size: side in pixels, odd, of the filters of the group convolutions
            that change the number of channels.
        kernel_size: side of the depthwise filters in pixels, odd.
        expansion: hidden channels of the pointwise MLP, as a multiple of the block's.
        num_heads: heads of every attention layer.
        head_channels: width of one head, at least 3.
        patch_size: side of the window of local attention in pixels, odd.
        norm_type: ``"LayerNorm"`` or ``"BatchNorm"``.
        activation_function: ``"Swish"`` or ``"ReLU"``.
        dropout_rate: dropout before the classifier, in [0, 1).
        attention_dropout_rate: dropout of the attention weights, in [0, 1).
        group_encoding, positional_encoding, backend: of the attention layers.

    Raises:
        ValueError: an argument out of its range, or stages of different number.
    """

    def __init__(
        self,
        *,
        group: groups.Group | str,
        in_channels: int,
        num_classes: int,
        image_size: int | Sequence[int],
        stem_channels: int,
        stem_kernel_size: int = 7,
        channels_per_stage: Sequence[int],
        blocks_per_stage: Sequence[int],
        attention_per_stage: Sequence[str],
        transition_kernel_size: int = 1,
        kernel_size: int = 5,
        expansion: int = 2,
        num_heads: int = 4,
        head_channels: int = 6,
        patch_size: int = 5,
        norm_type: str = "BatchNorm",
        activation_function: str = "Swish",
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        group_encoding: str = "equivariant",
        positional_encoding: str = "mlp",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        stages: tuple[Sequence[Any], ...] = (
            each_whole("channels_per_stage", channels_per_stage, 1),
            each_whole("blocks_per_stage", blocks_per_stage, 0),
            tuple(attention_per_stage),
        )
        if len({len(stage) for stage in stages}) > 1:
            raise ValueError(
                "channels_per_stage, blocks_per_stage and attention_per_stage must have one entry "
                f"for each stage, got {', '.join(map(str, stages))}"
            )
        for attention in attention_per_stage:
            if attention not in STAGE_ATTENTION:
                raise ValueError(
                    f"unknown attention_per_stage {attention!r}; "
                    f"choose of {', '.join(STAGE_ATTENTION)} for each stage"
                )
        for name, side in (
            ("stem_kernel_size", stem_kernel_size),
            ("transition_kernel_size", transition_kernel_size),
            ("kernel_size", kernel_size),
        ):
            whole_numbers(**{name: side})
            if side % 2 == 0:
                raise ValueError(f"{name} must be odd, so that the size is kept, got {side}")
        whole_numbers(expansion=expansion)
        check_rates(dropout_rate=dropout_rate)
        self.group = groups.get(group)
        norm = gnn.choose("norm_type", norm_type, gnn.NORMS)
        activation = gnn.choose("activation_function", activation_function, gnn.ACTIVATIONS)

        def attend(kind: str, channels: int, size: int) -> nn.Module:
            layer, extent = {
                "Local": (gnn.GroupLocalSelfAttention, patch_size),
                "Global": (gnn.GroupSelfAttention, size),
            }[kind]
            return layer(
                self.group,
                channels,
                head_channels,
                channels,
                num_heads,
                extent,
                attention_dropout_rate,
                group_encoding=group_encoding,
                positional_encoding=positional_encoding,
                backend=backend,
            )

        def block(kind: str, channels: int, size: int) -> nn.Module:
            convolution = gnn.GroupConv(
                self.group, channels, channels, kernel_size, depthwise=True, bias=False
            )
            hidden = expansion * channels
            branches = Branches(Residual(convolution, norm(channels)))
            if kind != "Off":
                attention = attend(kind, channels, size)
                branches.append(Residual(norm(channels), attention, norm(channels)))
            branches.append(
                Residual(
                    gnn.Conv1x1(channels, hidden, bias=False),
                    norm(hidden),
                    activation(),
                    gnn.Conv1x1(hidden, channels, bias=False),
                    norm(channels),
                )
            )
            return branches

        self.stem = nn.Sequential(
            gnn.LiftConv(self.group, in_channels, stem_channels, stem_kernel_size, bias=False),
            norm(stem_channels),
            activation(),
        )
        self.stages = nn.Sequential()
        channels, size = stem_channels, max(sides_of(image_size))
        for out_channels, blocks, kind in zip(*stages, strict=True):
            stage = nn.Sequential(gnn.MaxPool())
            size = (size + 1) // 2
            if out_channels != channels:
                stage.append(
                    gnn.GroupConv(
                        self.group, channels, out_channels, transition_kernel_size, bias=False
                    )
                )
                stage.append(norm(out_channels))
                stage.append(activation())
            for _ in range(blocks):
                stage.append(block(kind, out_channels, size))
            self.stages.append(stage)
            channels = out_channels
        self.head = nn.Sequential(norm(channels), activation())
        self.dropout = nn.Dropout(dropout_rate)
        self.num_features = channels
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one.

        Args:
            num_classes: number of classes; 0 for none, so that the network gives its features.
        """
        self.num_classes = num_classes = checked_classes(num_classes)
        classifier: nn.Module = nn.Identity()
        if num_classes:
            classifier = nn.Linear(self.num_features, num_classes)
        self.classifier = classifier.to(next(self.parameters())).train(self.training)
        forget_classes(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute what is inside the blocks again in the backward: less memory, one more forward.

        Args:
            enable: whether to; False keeps all activations.
        """
        gnn.set_grad_checkpointing(self, enable)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → maps ``(B, num_features, |H|, H', W')``."""
        return self.head(self.stages(self.stem(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps of `forward_features` → logits ``(B, num_classes)``.

        Args:
            x: the maps.
            pre_logits: leave out the classifier: ``(B, num_features)``, invariant to the group.
        """
        features = x.mean(dim=(-2, -1)).amax(dim=-1)
        return features if pre_logits else self.classifier(self.dropout(features))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` → logits ``(B, num_classes)``."""
        return self.forward_head(self.forward_features(x))


class Branches(nn.Sequential):
    """The residual branches of one block, one after the other."""

    @gnn.checkpointed
    def forward(self, x: Tensor) -> Tensor:
        """The block's output, of the shape of x."""
        return super().forward(x)


class Residual(nn.Sequential):
    """``x + f(x)`` for the sequence f of its layers, from a map to one of the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """The sum, of the shape of x."""
        return x + super().forward(x)
