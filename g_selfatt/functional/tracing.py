"""Who looks at a computation from outside: compilers, exporters, the transforms of `torch.func`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.fx import Proxy
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.experimental.symbolic_shapes import statically_known_true


def is_traced(*tensors: Tensor) -> bool:
    """Whether what computes with the tensors is recorded: they then stand for others."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    return get_proxy_mode() is not None or any(isinstance(t, FakeTensor | Proxy) for t in tensors)


def is_compiled() -> bool:
    """Whether the tracer is torch.compile, whose graphs run in Python and can call back to it.

    What exporters write has to run without this library.
    """
    return torch.compiler.is_compiling() and not _is_exported()


@torch.compiler.assume_constant_result
def _is_exported() -> bool:
    # Not traced: within torch.compile, older versions say yes to this always.
    return torch.compiler.is_exporting()


def is_transformed(*tensors: Tensor | None) -> bool:
    """Whether `torch.func` or forward-mode differentiation looks into what computes with them."""
    if torch._C._are_functorch_transforms_active():
        return True
    if torch.compiler.is_compiling():
        return False
    return any(t is not None and forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def holds(condition: bool) -> bool:
    """Whether a condition on sizes holds; in an export, whether it does for all of its sizes.

    A plain comparison would specialize the export: it would accept only sizes with the same answer.
    """
    return statically_known_true(condition) if _is_exported() else condition
