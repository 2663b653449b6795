"""Implementations of the one attention, equal in their numbers and different in their cost."""

from g_selfatt.functional.backends.inputs import AttentionInputs
from g_selfatt.functional.backends.registry import (
    BACKENDS,
    Backend,
    check_backend_name,
    select_backend,
    use_backend,
)

__all__ = [
    "BACKENDS",
    "AttentionInputs",
    "Backend",
    "check_backend_name",
    "select_backend",
    "use_backend",
]
