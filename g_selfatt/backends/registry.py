"""Which code computes the attention: by name, or the first that can and is worth it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from g_selfatt.backends import numba, triton
from g_selfatt.functional import reference
from g_selfatt.functional.inputs import AttentionInputs


@dataclass(frozen=True)
class Backend:
    """One implementation of `g_selfatt.functional.self_attention`.

    Attributes:
        name: what users call it.
        can_run: the reason why it cannot run these inputs, or None if it can.
        is_worth_it: whether ``"auto"`` should take it for these inputs; only speed depends on it.
        run: computes ``(B, heads, c, |H|, H, W)``.
    """

    name: str
    can_run: Callable[[AttentionInputs], str | None]
    is_worth_it: Callable[[AttentionInputs], bool]
    run: Callable[[AttentionInputs], Tensor]


# In the order in which "auto" tries them.
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("triton", triton.can_run, triton.is_worth_it, triton.attend),
        Backend("streaming", numba.can_run, numba.is_worth_it, numba.attend),
        Backend("reference", reference.can_run, reference.is_worth_it, reference.attend),
    )
}


def check_backend_name(name: str) -> None:
    """ValueError with the valid choices unless ``name`` is ``"auto"`` or a backend."""
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")


def select_backend(name: str, inputs: AttentionInputs) -> Backend:
    """The backend called ``name``, or for ``"auto"`` the first that can run ``inputs``.

    Raises:
        ValueError: an unknown name, or one that cannot run the inputs: the message says why.
    """
    check_backend_name(name)
    if name != "auto":
        reason = BACKENDS[name].can_run(inputs)
        if reason is not None:
            raise ValueError(f"backend {name!r} cannot run this: {reason}")
        return BACKENDS[name]
    # The reference comes last, runs everything and is always worth it.
    return next(b for b in BACKENDS.values() if b.can_run(inputs) is None and b.is_worth_it(inputs))
