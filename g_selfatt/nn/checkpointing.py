"""Blocks that keep their input for the backward and compute again what is inside.

`torch.utils.checkpoint` around each block of a network: less memory, one more forward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from g_selfatt.functional.attention import use_present_backend
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
        contexts = functools.partial(_contexts, self)
        return checkpoint(run, x, use_reentrant=False, context_fn=contexts)

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


def _contexts(block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    return nullcontext(), _again(block, use_present_backend())


@contextmanager
def _again(block: nn.Module, backend: AbstractContextManager) -> Iterator[None]:
    """Compute as in the first forward: on its backend, leaving the running statistics it has made.

    What updates them is a copy.
    """
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    statistics = [(norm, dict(norm.named_buffers(recurse=False))) for norm in norms]
    for norm, buffers in statistics:
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        with backend:
            yield
    finally:
        for norm, buffers in statistics:
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
