"""Every layer on mirrors of diagonals and of rows, which turn the lines of the usual mirror."""

import pytest
import torch

from g_selfatt import groups, nn, testing
from g_selfatt.models import GroupTransformer

LAYERS = {
    "LiftSelfAttention": lambda g: nn.LiftSelfAttention(g, 3, 4, 6, 2, 7, 0.0),
    "LiftLocalSelfAttention": lambda g: nn.LiftLocalSelfAttention(g, 3, 4, 6, 2, 3, 0.0),
    "GroupSelfAttention": lambda g: nn.GroupSelfAttention(g, 3, 4, 6, 2, 7, 0.0),
    "GroupLocalSelfAttention": lambda g: nn.GroupLocalSelfAttention(g, 3, 4, 6, 2, 3, 0.0),
    "LiftConv": lambda g: nn.LiftConv(g, 3, 6, 3),
    "GroupConv": lambda g: nn.GroupConv(g, 3, 6, 3),
}


@pytest.mark.parametrize("name", ["mz2@45", "p2m@45", "mz2@90"])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_equivariant(layer, name):
    group = groups.get(name)
    assert len(group.grid_elements) == group.num_elements
    module = LAYERS[layer](group).double()
    with torch.no_grad():  # zero biases would leave the encodings constant
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    axes = [] if layer.startswith("Lift") else [group.num_elements]
    x = torch.randn(2, 3, *axes, 5, 7).double()
    testing.assert_equivariant(module, group, x, tolerance=1e-9)
    usual = groups.get(name.split("@")[0])  # and to no other mirrors
    assert max(testing.equivariance_error(module, usual, x).values()) > 1e-3


def test_a_whole_network_is_invariant_to_a_transposition():
    network = GroupTransformer(
        group="mz2@45", in_channels=1, num_channels=8, num_heads=2, norm_type="LayerNorm",
        block_sizes=(1,), expansion_per_block=1, crop_per_layer=1, normalize_between_layers=True,
        maxpool_after_last_block=True, dropout_rate_after_maxpooling=0.0, image_size=8,
        patch_size=3, activation_function="Swish", attention_dropout_rate=0.1,
        value_dropout_rate=0.1, num_classes=3, whitening_scale=1.4,
    ).double()  # fmt: skip
    x = torch.randn(2, 1, 8, 8).double()
    testing.assert_equivariant(network, groups.get("mz2@45"), x, tolerance=1e-9)
