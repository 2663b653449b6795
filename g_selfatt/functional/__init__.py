"""The mathematics as pure functions of tensors: no parameters, no state."""

from g_selfatt.functional.attention import self_attention, use_backend
from g_selfatt.functional.attention_weights import attention_weights
from g_selfatt.functional.encoding import GROUP_ENCODINGS, group_index
from g_selfatt.functional.filters import filter_sampling, group_filters, lifting_filters
from g_selfatt.functional.pooling import REDUCTIONS, invariant_pooling
from g_selfatt.functional.positions import acted_offsets, window_offsets
from g_selfatt.groups.signals import inscribed_disc, preserves_grid, transform_plane

__all__ = [
    "GROUP_ENCODINGS",
    "REDUCTIONS",
    "acted_offsets",
    "attention_weights",
    "filter_sampling",
    "group_filters",
    "group_index",
    "inscribed_disc",
    "invariant_pooling",
    "lifting_filters",
    "preserves_grid",
    "self_attention",
    "transform_plane",
    "use_backend",
    "window_offsets",
]
