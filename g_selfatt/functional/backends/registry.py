"""Which code computes the attention: by name, or the first that can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from g_selfatt.functional.backends import chunked, reference
from g_selfatt.functional.backends.inputs import AttentionInputs


@dataclass(frozen=True)
class Backend:
    """One implementation of `g_selfatt.functional.self_attention`.

    Attributes:
        name: what users call it.
        can_run: the reason why it cannot run these inputs, or None if it can.
        run: computes ``(B, heads, c, |H|, H, W)``.
    """

    name: str
    can_run: Callable[[AttentionInputs], str | None]
    run: Callable[[AttentionInputs], Tensor]


# In the order in which "auto" tries them.
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("chunked", chunked.can_run, chunked.attend),
        Backend("reference", reference.can_run, reference.attend),
    )
}


def check_backend_name(name: str) -> None:
    """ValueError with the valid choices unless ``name`` is ``"auto"`` or a backend."""
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")


def select_backend(name: str, inputs: AttentionInputs) -> Backend:
    """The backend called ``name``, or for ``"auto"`` the first that can run ``inputs``.

    Raises:
        ValueError: an unknown name, or nothing asked for can run: the message says why, for each.
    """
    check_backend_name(name)
    candidates = list(BACKENDS.values()) if name == "auto" else [BACKENDS[name]]
    reasons = []
    for backend in candidates:
        reason = backend.can_run(inputs)
        if reason is None:
            return backend
        reasons.append(f"{backend.name}: {reason}")
    raise ValueError(f"no attention backend can run this: {'; '.join(reasons)}")
