"""Arguments of networks: taken as NumPy's numbers too, refused by the name that the user gave."""

import re

import numpy as np
import pytest
import torch

from g_selfatt import models

CHANNELS = (
    "num_channels must be a multiple of 4, or one more, got {}: the lifting layer splits half"
)
SMALL = {"block_sizes": (1,), "crop_per_layer": 0}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("p4sa", {"num_channels": 10}, CHANNELS.format(10)),
        ("p4sa", {"num_channels": 3}, CHANNELS.format(3)),
        ("p4sa", {"num_channels": 8.0}, "num_channels must be a whole number of at least 1, got 8"),
        (
            "p4sa",
            {"num_channels": 4},
            "group attention takes at least 6 channels, got 4: take num_channels 8, or a larger "
            "expansion_per_block",
        ),
        (
            "p4sa",
            {"block_sizes": 2},
            "block_sizes must be a list of whole numbers, such as (2, 3), got 2",
        ),
        (
            "p4sa",
            {"block_sizes": (1, 1.5)},
            "block_sizes must be a whole number of at least 0, got 1.5",
        ),
        (
            "p4sa",
            {"expansion_per_block": (1, 0)},
            "expansion_per_block must be a whole number of at least 1, got 0",
        ),
        (
            "p4sa",
            {"crop_per_layer": (1.5, 0, 0)},
            "crop_per_layer must be a whole number of at least 0, got 1.5",
        ),
        (
            "p4sa",
            {"crop_per_layer": -1},
            "crop_per_layer must be a whole number of at least 0, got -1",
        ),
        (
            "p4sa",
            {"attention_dropout_rate": None},
            "attention_dropout_rate must be in [0, 1), got None",
        ),
        ("p4sa", {"input_dropout_rate": "0.1"}, "input_dropout_rate must be in [0, 1), got '0.1'"),
        (
            "p4convnet",
            {"channels_per_stage": 32},
            "channels_per_stage must be a list of whole numbers, such as (2, 3), got 32",
        ),
        (
            "p4convnet",
            {"kernel_size": "3"},
            "kernel_size must be a whole number of at least 1, got '3'",
        ),
        ("p4convnet", {"dropout_rate": None}, "dropout_rate must be in [0, 1), got None"),
        (4, {}, "unknown model 4; choose one of z2cnn"),
    ],
)
def test_the_message_names_what_was_given(name, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        models.create_model(name, "rotDigits", **arguments)


@pytest.mark.parametrize("num_channels", range(1, 14))
@pytest.mark.parametrize("expansion", [1, 2])
def test_no_network_is_refused_that_could_be_made(num_channels, expansion):
    """Heads of half the channels: even ones for lifting, of at least 3 for the group."""
    lifting, on_group = num_channels // 2, num_channels * expansion // 2
    arguments = {"num_channels": num_channels, "expansion_per_block": expansion, **SMALL}
    if lifting >= 2 and lifting % 2 == 0 and on_group >= 3:
        network = models.create_model("p4sa", "rotDigits", **arguments)
        assert network(torch.randn(1, 1, 4, 4)).shape == (1, 10)
    else:
        with pytest.raises(ValueError, match="num_channels"):
            models.create_model("p4sa", "rotDigits", **arguments)


def test_numbers_of_numpy():
    arguments = {"expansion_per_block": np.int64(2), "crop_per_layer": np.zeros(1, int)}
    network = models.create_model("p4sa", "rotDigits", **SMALL | arguments)
    assert network.num_features == 32
