"""Group equivariant self-attention as one pure function; lifting, group, local and global alike.

For output element h, query element g and pixel i, key element m and pixel j, with δ = j − i:

    s[h,g,i; m,j] = (q[g,i]·k[m,j] + q_pos[g,i]·P[h,δ] + q_grp[g,i]·E[φ(h,g,m)]) · scale
    out[h,i]      = Σ_g Σ_{m,j} softmax_{(m,j)}(s[h,g,i; ·]) · v[m,j]

(Romero & Cordonnier, 2021, group self-attention; lifting self-attention is the case without E and
with a single g and m.) The keys are the pixels j of the image whose offset δ lies in the window of
the table P: a k×k table is local attention, a table that reaches every offset is global attention.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType

from torch import Tensor

from g_selfatt.functional.inputs import AttentionInputs


class _Everywhere(threading.local):
    """What `use_backend` has put this thread's attention on.

    Of the thread, as torch.no_grad and torch.autocast are; torch.compile reads it, and compiles
    again where it changes.
    """

    def __init__(self) -> None:
        self.backend: str | None = None


_everywhere = _Everywhere()


def self_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    positional_table: Tensor,
    group_embedding: Tensor | None = None,
    group_index: Tensor | None = None,
    *,
    scale: float,
    dropout_rate: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """Self-attention on the plane or on a group, with positions that the group acts on.

    Args:
        query, key, value: maps ``(B, heads, c, G, H, W)``; G = 1 for a map on the plane (lifting),
            G = |H| for a map on the group. The first channels of the query meet ``P``, the
            last meet ``E``; all of them meet the key.
        positional_table: table P, ``(|H|, d, K_h, K_w)``: the encoding of every offset of an odd
            window, acted on by every h; d ≤ c.
        group_embedding: embedding E, ``(rows, e)`` with e ≤ c; None for lifting.
        group_index: table φ of rows of E, ``(|H| of h, G of g, G of m)`` int64; None for lifting.
        scale: factor on the scores, 1/√(input channels) in the paper.
        dropout_rate: probability of dropping an attention weight, in [0, 1).
        backend: name of the implementation, ``"auto"`` or one of `g_selfatt.backends.BACKENDS`.

    Returns:
        ``(B, heads, c, |H|, H, W)``.

    Raises:
        ValueError: shapes, dtypes or devices that do not fit, an index that is no row of the
            embedding, an unknown backend, or one that cannot run this.
    """
    inputs = AttentionInputs(
        query, key, value, positional_table, group_embedding, group_index, scale, dropout_rate
    )
    registry = _registry()
    registry.check_backend_name(backend)
    return registry.select_backend(_everywhere.backend or backend, inputs).run(inputs)


def use_backend(name: str) -> AbstractContextManager[None]:
    """Run all attention on one backend, whatever the layers were given.

        with use_backend("reference"):
            expected = network(x)

    For this thread, while it lasts: what `torch.utils.checkpoint` computes again in a backward
    outside of it is computed on the layers' own backends.

    Args:
        name: ``"auto"`` or one of `g_selfatt.backends.BACKENDS`.

    Raises:
        ValueError: an unknown name.
    """
    _registry().check_backend_name(name)
    return run_on(name)


def present_backend() -> str | None:
    """The backend of the innermost `use_backend` around, or None."""
    return _everywhere.backend


@contextmanager
def run_on(name: str | None) -> Iterator[None]:
    """As `use_backend`, with a `present_backend`: None leaves each layer its own."""
    before, _everywhere.backend = _everywhere.backend, name
    try:
        yield
    finally:
        _everywhere.backend = before


def _registry() -> ModuleType:
    """The backends: they import these equations, so they are looked up at the call."""
    from g_selfatt.backends import registry

    return registry
