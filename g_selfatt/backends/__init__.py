"""Implementations of the one attention, equal in their numbers and different in their cost."""

from g_selfatt.backends.registry import BACKENDS, Backend, check_backend_name, select_backend
from g_selfatt.functional.inputs import AttentionInputs

__all__ = [
    "BACKENDS",
    "AttentionInputs",
    "Backend",
    "check_backend_name",
    "select_backend",
]
