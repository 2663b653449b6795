"""The attention maps of a whole network, through hooks on its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from g_selfatt.nn.modes import evaluating
from g_selfatt.nn.self_attention import SelfAttention


@torch.no_grad()
def attention_maps(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every self-attention layer of a network looks at.

    The network runs once, in eval mode; the mode of each of its modules is restored. The maps carry
    no gradient.

    Args:
        network: module that holds attention layers of `g_selfatt.nn`, or is one.
        x: input of the network.

    Returns:
        By the name of the layer in ``network.named_modules()``, in the order in which they run: the
        map that ``layer(..., return_attention=True)`` gives, ``(B, heads, |H|, H, W, keys)``. Of a
        layer that runs several times, the last.

    Raises:
        ValueError: no attention layer ran.
    """
    names = {m: name for name, m in network.named_modules() if isinstance(m, SelfAttention)}
    maps: dict[str, Tensor] = {}

    def keep(layer: SelfAttention, args: Any, keywords: dict[str, Any], output: Tensor) -> None:
        maps[names[layer]] = layer.forward(*args, **keywords | {"return_attention": True})[1]

    hooks = [layer.register_forward_hook(keep, with_kwargs=True) for layer in names]
    try:
        # Compiled code does not call the hooks.
        with evaluating(network), torch.compiler.set_stance("force_eager"):
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        raise ValueError(f"no attention layer of g_selfatt.nn ran in this {type(network).__name__}")
    return maps
