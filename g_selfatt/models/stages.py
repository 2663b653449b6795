"""The body of a network: stages of blocks, with pooling between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index

from torch import nn

from g_selfatt import nn as gnn
from g_selfatt.nn.checks import check_rates, whole_numbers
from g_selfatt.nn.elementary import HalvingPool


def build_stages(
    make_block: Callable[[int, int, int, int], nn.Module],
    *,
    in_channels: int,
    image_size: int | Sequence[int],
    block_sizes: Sequence[int],
    expansion_per_block: int | Sequence[int],
    crop_per_layer: int | Sequence[int],
    normalize_between_layers: bool,
    maxpool_after_last_block: bool,
    dropout_rate_after_maxpooling: float,
    norm_type: str,
    activation_function: str,
) -> tuple[nn.Sequential, int]:
    """Stages of blocks on maps ``(B, C, |H|, H, W)``, each stage followed by pooling in space.

    Args:
        make_block: ``(in_channels, out_channels, size, crop)`` → a block that takes ``crop`` pixels
            off every side of a map whose longer side has ``size`` pixels.
        in_channels: channels of the maps.
        image_size: side of the maps in pixels, or height and width.
        block_sizes: blocks per stage; a stage of 0 is its pooling only.
        expansion_per_block: factor on the channels at the first block of every stage; one number
            for all, or one per stage.
        crop_per_layer: pixels taken off every side by each block; one number for all, or one per
            block.
        normalize_between_layers: whether norm and activation follow every block.
        maxpool_after_last_block: whether the last stage is followed by pooling too.
        dropout_rate_after_maxpooling: dropout after each pooling, in [0, 1).
        norm_type: a name of `g_selfatt.nn.NORMS`.
        activation_function: a name of `g_selfatt.nn.ACTIVATIONS`.

    Returns:
        The stages and the channels of their maps.

    Raises:
        ValueError: crops and pooling that leave nothing of the image, lists of another length, or
            numbers out of their range.
    """
    check_rates(dropout_rate_after_maxpooling=dropout_rate_after_maxpooling)
    block_sizes = each_whole("block_sizes", block_sizes, 0)
    expansions = _one_each("expansion_per_block", expansion_per_block, len(block_sizes), 1)
    crops = iter(_one_each("crop_per_layer", crop_per_layer, sum(block_sizes), 0))
    norm = gnn.choose("norm_type", norm_type, gnn.NORMS)
    activation = gnn.choose("activation_function", activation_function, gnn.ACTIVATIONS)
    stages = nn.Sequential()
    channels, sides = in_channels, sides_of(image_size)
    for stage, (num_blocks, expansion) in enumerate(zip(block_sizes, expansions, strict=True)):
        for block in range(num_blocks):
            out_channels = channels * expansion if block == 0 else channels
            crop = next(crops)
            stages.append(make_block(channels, out_channels, max(sides), crop))
            channels, sides = out_channels, tuple(side - 2 * crop for side in sides)
            if normalize_between_layers:
                stages.append(norm(channels))
                stages.append(activation())
        if stage + 1 < len(block_sizes) or maxpool_after_last_block:
            stages.append(HalvingPool())
            sides = tuple(side // 2 for side in sides)
            if dropout_rate_after_maxpooling:
                stages.append(gnn.Dropout(dropout_rate_after_maxpooling))
        if min(sides) < 1:
            raise ValueError(
                f"crop_per_layer {crop_per_layer} and the pooling leave nothing of an image of "
                f"{image_size} pixels after block {stage + 1}"
            )
    return stages, channels


def sides_of(image_size: int | Sequence[int]) -> tuple[int, ...]:
    """Height and width in pixels, of a side or of both.

    Raises:
        ValueError: neither a number nor two, or one below 0, which stands for unknown.
    """
    if isinstance(image_size, Sequence):
        sides = tuple(image_size)
    else:
        sides = (index(image_size), index(image_size))
    if len(sides) != 2 or min(sides) < 0:
        raise ValueError(f"image_size must be a side or (height, width), got {image_size}")
    return sides


def odd_before_pooling(stages: nn.Sequential, side: int) -> int:
    """The first odd side before a pooling, which then drops a row.

    Pooling by 2×2 pixels is equivariant for even sides only.

    Args:
        stages: of `build_stages`.
        side: of the images in pixels.

    Returns:
        The side in pixels; 0 where there is none.
    """
    for layer in stages:
        if isinstance(layer, nn.MaxPool3d):
            if side % 2:
                return side
            side //= 2
        elif isinstance(layer, gnn.TransformerBlock):
            side -= 2 * layer.crop.crop_size
    return 0


def each_whole(name: str, values: Iterable[int], least: int) -> tuple[int, ...]:
    """A list of whole numbers as Python's integers.

    Raises:
        ValueError: no list, or one is no whole number of at least ``least``; the message has the
            name.
    """
    if not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of whole numbers, such as (2, 3), got {values!r}")
    return tuple(whole_numbers(least, **{name: value})[0] for value in values)


def _one_each(name: str, value: int | Sequence[int], count: int, least: int) -> tuple[int, ...]:
    """One number for each of ``count``; a single number is for all."""
    values = each_whole(name, value if isinstance(value, Iterable) else [value] * count, least)
    if len(values) != count:
        raise ValueError(f"{name} must be one number or {count} of them, got {values}")
    return values
