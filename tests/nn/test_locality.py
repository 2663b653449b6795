"""Heads that start at offsets of their own: their attention is the Gaussian that is promised."""

import pytest
import torch
from four_layers import LAYERS, make, signal

from g_selfatt import nn
from g_selfatt.functional import acted_offsets
from g_selfatt.nn.locality import head_offsets
from g_selfatt.nn.positional_encoding import PositionMLP

CASES = [
    *((kind, "mlp", group) for kind in LAYERS for group in ("z2", "p4", "p4m", "p8")),
    *(("group_local", "table", group) for group in ("z2", "p4", "p4m")),  # it holds whole pixels
]


def localized(kind, encoding, group, strength, channels=8):
    """A layer of nine heads that sees no content, only positions."""
    layer = make(kind, group, (4, channels, 5), 9, 5, positional_encoding=encoding)
    for module in layer.modules():
        if isinstance(module, PositionMLP):
            module.spread(10.0)
    with torch.no_grad():
        for projection in (layer.query, layer.key):
            projection.weight.zero_()
            projection.bias.zero_()
    nn.localize_heads(layer, strength)
    return layer


def gaussians(group, strength, window):
    """|G|·softmax over the window of −λ/2 |h·δ − Δ|², ``(9, |H|, keys)``, written out."""
    offsets = acted_offsets(group, window, 1, torch.float64, torch.device("cpu"))
    offsets = offsets.flatten(2).transpose(1, 2)  # (|H|, keys, 2)
    distances = offsets[None] - head_offsets(9)[:, None, None]
    return (-strength / 2 * distances.square().sum(-1)).softmax(-1)


@pytest.mark.parametrize("strength", [0.5, 2.0])
@pytest.mark.parametrize(("kind", "encoding", "group"), CASES)
def test_attention_starts_as_gaussians_turned_by_the_group(kind, encoding, group, strength):
    layer = localized(kind, encoding, group, strength)
    _, attention = layer(signal(kind, group, (5, 5), batch=1), return_attention=True)
    central = attention[0, :, :, 2, 2]  # sees the whole window
    order = 1 if layer.lifting else layer.group.num_elements
    expected = order * gaussians(layer.group, strength, (5, 5))
    # 16 hidden channels and a bias fit 17 coordinates exactly; eighth turns of 9 pixels have 41.
    exact = layer.neighbourhood.reach == 2 or group != "p8"
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if exact else {"rtol": 0.01, "atol": 0.01}
    torch.testing.assert_close(central, expected, **tolerance)


def test_the_offsets_of_the_heads():
    assert head_offsets(1).tolist() == [[0, 0]]
    assert head_offsets(4).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    nine = [[row, column] for row in (-1, 0, 1) for column in (-1, 0, 1)]
    assert head_offsets(9).tolist() == nine
    assert sorted(head_offsets(5).square().sum(1).tolist()) == [0, 1, 1, 1, 1]


def test_only_the_first_outputs_of_a_position_mlp_are_fitted():
    mlp = PositionMLP(3).double()
    mlp.spread(10.0)
    weight, bias = (parameter.detach().clone() for parameter in mlp[3].parameters())
    coordinates = torch.linspace(-1, 1, 5).double()
    mlp.fit(coordinates, coordinates[:, None] ** 3)
    outputs = mlp(coordinates.view(-1, 1, 1, 1)).flatten(1)
    torch.testing.assert_close(outputs[:, 0], coordinates**3, rtol=1e-6, atol=1e-6)
    assert torch.equal(mlp[3].weight[1:], weight[1:]) and torch.equal(mlp[3].bias[1:], bias[1:])


def test_a_head_with_one_channel_for_each_coordinate_leans_towards_its_offset():
    layer = localized("group_local", "mlp", "p4", 1.0, channels=5)
    _, attention = layer(signal("group_local", "p4", (5, 5), batch=1), return_attention=True)
    offsets = acted_offsets(layer.group, (5, 5), 1, torch.float64, torch.device("cpu"))
    expected = torch.einsum("nd,hdyx->nhyx", head_offsets(9), offsets).flatten(2).softmax(-1)
    torch.testing.assert_close(attention[0, :, :, 2, 2], 4 * expected, rtol=1e-5, atol=1e-6)


def test_a_layer_on_the_meta_device_stays_there():
    layer = nn.GroupLocalSelfAttention("p8", 3, 8, 4, 4, 5, device="meta")
    nn.localize_heads(layer, 1.0)
    assert layer.query.bias.is_meta and layer.row_embedding[3].weight.is_meta
