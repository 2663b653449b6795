"""Where a network looks, drawn over its images: attention that every pixel receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from g_selfatt.nn import GroupSelfAttention, LiftSelfAttention, attention_maps
from g_selfatt.nn.self_attention import SelfAttention
from training.errors import UserError
from training.run_folder import printable


def refuse_without_attention(network: nn.Module) -> None:
    """UserError where a network has no attention layer of `g_selfatt.nn`."""
    if not any(isinstance(module, SelfAttention) for module in network.modules()):
        raise UserError(f"attention: {type(network).__name__} has no attention layer to be drawn")


def received_attention(network: nn.Module, x: Tensor) -> Tensor:
    """The attention that pixels receive in the last attention layer, 1 for what all get on average.

    Summed over heads, group elements and query pixels, relative to attention that is spread evenly
    over the keys of every query, so that pixels at the border, which fewer queries see, compare.

    Args:
        network: with attention layers of `g_selfatt.nn`.
        x: images ``(B, C, H, W)``.

    Returns:
        ``(B, H, W)``; NaN where the network crops the image before that layer.

    Raises:
        UserError: the network has no attention.
    """
    refuse_without_attention(network)
    stride = 1  # of the map so far
    strides: dict[nn.Module, int] = {}  # of the map that an attention layer sees

    def note(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal stride
        if isinstance(module, SelfAttention):
            strides[module] = stride
        else:
            stride *= round(args[0].shape[-1] / output.shape[-1])

    noted = [
        module
        for module in network.modules()
        if isinstance(module, SelfAttention) or "Pool" in type(module).__name__
    ]
    hooks = [module.register_forward_hook(note) for module in noted]
    try:
        maps = attention_maps(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    name, attention = list(maps.items())[-1]
    attention = attention.mean(dim=(1, 2))  # (B, H, W, keys)
    attention = attention / attention.sum(dim=-1, keepdim=True)
    layer = network.get_submodule(name)
    if isinstance(layer, (LiftSelfAttention, GroupSelfAttention)):
        received = _of_image(attention)  # even attention gives each of H·W pixels 1
    else:
        received = _of_window(attention) / _of_window(_even(attention))
    size = [side * strides[layer] for side in received.shape[-2:]]
    covered = F.interpolate(received[:, None], size, mode="nearest")[:, 0]
    margins = [(whole - part) // 2 for whole, part in zip(x.shape[-2:], size, strict=True)]
    (top, left), (height, width) = margins, x.shape[-2:]
    return F.pad(
        covered,
        (left, width - size[1] - left, top, height - size[0] - top),
        value=torch.nan,
    )


def _of_image(attention: Tensor) -> Tensor:
    """``(B, H, W, H·W)`` of queries → ``(B, H, W)`` of keys."""
    return attention.sum(dim=(1, 2)).unflatten(-1, attention.shape[1:3])


def _of_window(attention: Tensor) -> Tensor:
    """``(B, H, W, k·k)`` of queries → ``(B, H, W)`` of keys."""
    side = round(attention.shape[-1] ** 0.5)
    windows = attention.flatten(1, 2).mT  # (B, k·k, H·W)
    return F.fold(windows, attention.shape[1:3], side, padding=side // 2)[:, 0]


def _even(attention: Tensor) -> Tensor:
    """Attention ``(1, H, W, k·k)`` that is the same for all keys of a window inside the image."""
    side = round(attention.shape[-1] ** 0.5)
    image = attention.new_ones(1, 1, *attention.shape[1:3])
    inside = F.unfold(image, side, padding=side // 2).mT.unflatten(1, attention.shape[1:3])
    return inside / inside.sum(dim=-1, keepdim=True)


def picture_names(files: Iterable[Path]) -> dict[Path, str]:
    """The picture of each file is called after its folder and itself; no two have one name."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for file in files:
        wanted = name = f"{file.resolve().parent.name}-{file.name}"
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name)
        names[file] = f"{name}.png"
    return names


def draw(network: nn.Module, x: Tensor, pictures: Mapping[Path, Path]) -> None:
    """Write one PNG for each image: the image, and the attention over it.

    Args:
        network: with attention layers.
        x: the prepared images ``(B, C, H, W)``.
        pictures: the file of each image, and that of its picture, in the order of `x`.
    """
    from matplotlib.figure import Figure

    maps = received_attention(network, x)
    for image, attention, (file, picture) in zip(x, maps, pictures.items(), strict=True):
        image = image - image.min()
        image = (image / image.max().clamp(min=1e-6)).permute(1, 2, 0)
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        plain, over = figure.subplots(1, 2)
        for axes in (plain, over):
            axes.imshow(image.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
        shown = over.imshow(attention.numpy(), cmap="magma", alpha=0.6)
        figure.colorbar(shown, ax=over, label="attention received (1: even)")
        plain.set_title(printable(file.name), fontsize=9, parse_math=False)
        figure.savefig(picture, dpi=120)
