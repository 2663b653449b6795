"""Which code computes the attention: by name, or the first that can and is worth it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from g_selfatt.backends import numba, recompute, triton
from g_selfatt.functional import reference
from g_selfatt.functional.inputs import AttentionInputs


def _always(inputs: AttentionInputs) -> bool:
    return True


def _everything(inputs: AttentionInputs) -> None:
    return None


@dataclass(frozen=True)
class Backend:
    """One implementation of `g_selfatt.functional.self_attention`.

    Attributes:
        name: the name that users call it by.
        run: function that computes ``(B, heads, c, |H|, H, W)``.
        can_run: function that gives the reason why it cannot run the inputs, or None if it can.
        is_worth_it: function that says whether ``"auto"`` takes it for the inputs; only speed and
            memory depend on it.
    """

    name: str
    run: Callable[[AttentionInputs], Tensor]
    can_run: Callable[[AttentionInputs], str | None] = _everything
    is_worth_it: Callable[[AttentionInputs], bool] = _always


# In the order in which "auto" tries them; the last runs everything and is always worth it.
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("triton", triton.attend, triton.can_run, triton.is_worth_it),
        Backend("numba", numba.attend, numba.can_run),
        Backend("recompute", recompute.attend, is_worth_it=recompute.is_worth_it),
        Backend("reference", reference.attend),
    )
}
STREAMING = ("numba", "recompute")
"""What the name ``"streaming"`` stands for: the first of these that can run."""


def check_backend_name(name: str) -> None:
    """Raise ValueError with the valid choices unless ``name`` is one of them."""
    if name not in ("auto", "streaming", *BACKENDS):
        raise ValueError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")


def _why_not(backend: Backend, inputs: AttentionInputs) -> str | None:
    """The reason why a backend cannot run the inputs, or None if it can."""
    if inputs.transformed and backend.run is not reference.attend:
        return "torch.func and forward-mode differentiation need the equations: 'reference'"
    return backend.can_run(inputs)


def select_backend(name: str, inputs: AttentionInputs) -> Backend:
    """The backend of a name; for ``"auto"`` the first that can run the inputs and is worth it.

    Args:
        name: ``"auto"``, a key of `BACKENDS`, or ``"streaming"``: ``"numba"`` where that can run,
            else ``"recompute"``.
        inputs: the arguments of the attention.

    Raises:
        ValueError: an unknown name, or one that cannot run the inputs: the message says why.
    """
    check_backend_name(name)
    if name == "auto":
        return next(
            backend
            for backend in BACKENDS.values()
            if _why_not(backend, inputs) is None and backend.is_worth_it(inputs)
        )
    if name == "streaming":
        candidates = [BACKENDS[one] for one in STREAMING if not _why_not(BACKENDS[one], inputs)]
        name = candidates[0].name if candidates else STREAMING[-1]
    reason = _why_not(BACKENDS[name], inputs)
    if reason is not None:
        raise ValueError(f"backend {name!r} cannot run this: {reason}")
    return BACKENDS[name]
