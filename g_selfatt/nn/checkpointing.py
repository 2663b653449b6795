"""Blocks that keep their input for the backward and compute again what is inside.

`torch.utils.checkpoint` around each block of a network: less memory, one more forward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from g_selfatt.functional.attention import present_backend, run_on
from g_selfatt.functional.tracing import is_compiled, is_traced, is_transformed


def checkpointed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `set_grad_checkpointing` decide whether a module keeps only its input.

    Args:
        forward: the module's method, of one tensor.
    """

    @functools.wraps(forward)
    def call(self: nn.Module, x: Tensor) -> Tensor:
        kept = not getattr(self, "grad_checkpointing", False) or not torch.is_grad_enabled()
        if kept or is_transformed(x) or (is_traced(x) and not is_compiled()):
            return forward(self, x)
        run = functools.partial(forward, self)
        if is_compiled():  # the graph updates its statistics once
            return checkpoint(run, x, use_reentrant=False)
        contexts = nullcontext(), _Again(self, present_backend())
        return checkpoint(run, x, use_reentrant=False, context_fn=lambda: contexts)

    call.can_be_checkpointed = True  # type: ignore[attr-defined]
    return call


def set_grad_checkpointing(module: nn.Module, enable: bool = True) -> None:
    """Have the blocks of a network compute their activations again in the backward, or keep them.

    Gradients, random numbers and running statistics are the same either way.

    Args:
        module: network whose blocks have a `checkpointed` forward.
        enable: whether to compute again.

    Raises:
        ValueError: enable, and there is no such block.
    """
    blocks = [m for m in module.modules() if hasattr(type(m).forward, "can_be_checkpointed")]
    if enable and not blocks:
        raise ValueError(
            f"{type(module).__name__} has no blocks to checkpoint: its activations are kept; "
            "leave out set_grad_checkpointing, or use enable=False"
        )
    for block in blocks:
        block.grad_checkpointing = enable  # type: ignore[assignment]


class _Again:
    """The context of computing a block again; entered once for each backward through it.

    Attention runs on the backend that it ran on first, and running statistics stay as the first
    forward has made them: what updates them is a copy.
    """

    def __init__(self, block: nn.Module, backend: str | None) -> None:
        self.block, self.backend = block, backend
        self.exits = ExitStack()

    def __enter__(self) -> None:
        self.exits.enter_context(run_on(self.backend))
        for norm in self.block.modules():
            if isinstance(norm, _BatchNorm):
                for name, buffer in list(norm.named_buffers(recurse=False)):
                    self.exits.callback(setattr, norm, name, buffer)
                    setattr(norm, name, buffer.clone())

    def __exit__(self, *error: object) -> None:
        self.exits.close()
