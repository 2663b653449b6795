"""Layers that drop into any PyTorch network."""

from g_selfatt.nn.attention_layers import (
    GroupLocalSelfAttention,
    GroupSelfAttention,
    LiftLocalSelfAttention,
    LiftSelfAttention,
)
from g_selfatt.nn.attention_maps import attention_maps
from g_selfatt.nn.checkpointing import checkpointed, set_grad_checkpointing
from g_selfatt.nn.convolution import GroupConv, LiftConv
from g_selfatt.nn.elementary import (
    ACTIVATIONS,
    NORMS,
    Conv1x1,
    Crop,
    Dropout,
    LayerNorm,
    Swish,
    choose,
    initialize,
)
from g_selfatt.nn.locality import localize_heads
from g_selfatt.nn.pooling import AvgPool, GroupPool, MaxPool, Restrict
from g_selfatt.nn.self_attention import POSITIONAL_ENCODINGS, AttentionOptions
from g_selfatt.nn.transformer_block import TransformerBlock

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "POSITIONAL_ENCODINGS",
    "AttentionOptions",
    "AvgPool",
    "Conv1x1",
    "Crop",
    "Dropout",
    "GroupConv",
    "GroupLocalSelfAttention",
    "GroupPool",
    "GroupSelfAttention",
    "LayerNorm",
    "LiftConv",
    "LiftLocalSelfAttention",
    "LiftSelfAttention",
    "MaxPool",
    "Restrict",
    "Swish",
    "TransformerBlock",
    "attention_maps",
    "checkpointed",
    "choose",
    "initialize",
    "localize_heads",
    "set_grad_checkpointing",
]
