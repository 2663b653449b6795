"""Modules that other tools treat as one piece, as they do those of torch.nn."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.fx import Proxy


def one_node(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a module as one node in graphs of torch.fx, which cannot follow what it asks of sizes.

    Args:
        forward: the module's method, of one positional argument.
    """

    @functools.wraps(forward)
    def call(self: nn.Module, x: Tensor, **options: Any) -> Any:
        if isinstance(x, Proxy):
            path = x.tracer.path_of_module(self)
            return x.tracer.create_proxy("call_module", path, (x,), options)
        return forward(self, x, **options)

    return call


class AnyLayout(nn.Module):
    """A module whose weights of five axes ``.to(memory_format=torch.channels_last)`` leaves alone.

    torch refuses such weights, and with them any network that holds one.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AnyLayout:
        def apply(tensor: Tensor) -> Tensor:
            try:
                return fn(tensor)
            except RuntimeError as error:
                if tensor.dim() != 5 or "channels_last" not in str(error):
                    raise
                return fn(tensor.flatten()).view(tensor.shape)

        return super()._apply(apply, recurse)
