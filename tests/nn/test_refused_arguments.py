"""Arguments of the wrong kind are refused in one line that names them."""

import re

import pytest

from g_selfatt import nn


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.GroupSelfAttention("p4", 3, 6, 3, 2, 5, group_encoding=None),
            "unknown group_encoding None; choose one of equivariant, relative, gevit, paper",
        ),
        (
            lambda: nn.GroupLocalSelfAttention("p4", 3, 6, 3, 2, 3, group_encoding=None),
            "unknown group_encoding None; choose one of equivariant, relative, gevit, paper",
        ),
        (
            lambda: nn.LiftSelfAttention("p4", 3, 6, 3, 2, 5, positional_encoding="sine"),
            "unknown positional_encoding 'sine'; choose one of mlp, table",
        ),
        (
            lambda: nn.LiftLocalSelfAttention("p4", 3, 6, 3, 2, 3, attention_dropout_rate=None),
            "attention_dropout_rate must be in [0, 1), got None",
        ),
        (lambda: nn.Crop(1.5), "crop_size must be a whole number of at least 0, got 1.5"),
        (lambda: nn.Conv1x1(3, 3, dimension=1), "dimension must be 2 or 3, got 1"),
        (
            lambda: nn.Conv1x1("3", 3),
            "in_channels must be a whole number of at least 1, got '3'",
        ),
        (
            lambda: nn.LiftConv("p4", 1, 2, "3"),
            "kernel_size must be a whole number of at least 1, got '3'",
        ),
        (
            lambda: nn.TransformerBlock(
                4,
                6,
                nn.GroupLocalSelfAttention("p4", 4, 6, 5, 2, 3),
                "LayerNorm",
                "Swish",
                crop_size=0,
                value_dropout_rate=0.0,
            ),
            "out_channels of the attention_layer must be 6, got 5",
        ),
        (lambda: nn.GroupPool(["max"]), "unknown reduction ['max']; choose one of max, mean"),
    ],
)
def test_the_message_names_the_argument(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()
