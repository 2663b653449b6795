"""The attention that layers and networks return: its sums, its symmetry, and no side effects."""

import pytest
import torch
from four_layers import LAYERS, make, signal

from g_selfatt import models, nn
from g_selfatt.functional import transform_plane, use_backend


def act_on_attention(group, attention, window, h):
    """h on a map of attention: on the query pixel, on h, and on the keys ``window``."""
    on_queries = attention.permute(0, 1, 5, 2, 3, 4).flatten(1, 2)  # (B, heads·keys, |H|, H, W)
    turned = group.act_on_signal(on_queries, h)
    turned = turned.unflatten(1, (-1, *window)).permute(0, 1, 4, 5, 6, 2, 3)
    return transform_plane(turned, group.matrices[h]).flatten(-2)


@pytest.mark.parametrize("group", ["p4", "p4m"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("size", [(6, 7), (2, 3), (1, 1)])
def test_the_output_is_the_same_and_the_weights_sum_to_the_order(kind, group, size):
    layer, x = make(kind, group), signal(kind, group, size)
    output, attention = layer(x, return_attention=True)
    assert torch.equal(output, layer(x)) and output.requires_grad
    order = layer.group.num_elements
    keys = 9 if kind.endswith("local") else size[0] * size[1]
    assert attention.shape == (2, 2, order, *size, keys)
    total = torch.tensor(1.0 if kind.startswith("lift") else order).double()
    torch.testing.assert_close(attention.sum(-1), total.expand(2, 2, order, *size))
    assert not attention.requires_grad


@pytest.mark.parametrize("group", ["p4", "p4m"])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_maps_turn_with_the_input(kind, group):
    layer, x = make(kind, group), signal(kind, group)
    window = (3, 3) if kind.endswith("local") else x.shape[-2:]
    _, attention = layer(x, return_attention=True)
    for h in range(layer.group.num_elements):
        _, got = layer(layer.group.act_on_signal(x, h), return_attention=True)
        expected = act_on_attention(layer.group, attention, window, h)
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_keys_lie_where_the_docstring_says(kind):
    """A key that no other equals draws all the attention, and it is found at its place."""
    layer, x = make(kind), signal(kind)
    with torch.no_grad():
        for embedding in (layer.row_embedding, layer.col_embedding):
            for parameter in embedding.parameters():
                parameter.zero_()
        layer.query.weight.zero_()
        layer.query.bias.fill_(1.0)
        layer.key.bias.zero_()
        layer.key.weight.fill_(50.0)
    x = torch.zeros_like(x)
    x[..., 2, 4] = 1.0
    _, attention = layer(x, return_attention=True)
    if kind.endswith("local"):
        found = attention.unflatten(-1, (3, 3))[..., 1, 3, 2, 2]  # seen from (1, 3): offset (1, 1)
    else:
        found = attention.unflatten(-1, (5, 6))[..., 4, 0, 2, 4]
    total = torch.tensor(1.0 if kind.startswith("lift") else 4.0).double()
    torch.testing.assert_close(found, total.expand_as(found))


@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_maps_on_every_backend_and_without_dropout(kind):
    layer, x = make(kind, attention_dropout_rate=0.5), signal(kind)
    assert layer.training
    maps = []
    for backend in ("reference", "streaming"):
        with use_backend(backend):
            maps.append(layer(x, return_attention=True)[1])
    maps.append(layer.eval()(x, return_attention=True)[1])
    assert torch.equal(maps[0], maps[1]) and torch.equal(maps[0], maps[2])


@pytest.mark.parametrize("kind", LAYERS)
def test_an_empty_batch_and_autocast(kind):
    layer = make(kind)
    _, attention = layer(signal(kind, batch=0), return_attention=True)
    assert attention.shape[:3] == (0, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        _, attention = layer.float()(signal(kind).float(), return_attention=True)
    total = torch.tensor(1.0 if kind.startswith("lift") else 4.0)
    torch.testing.assert_close(attention.sum(-1), total.expand(attention.shape[:-1]))


@pytest.fixture(scope="module")
def network():
    return models.create_model("p4sa", "rotDigits", value_dropout_rate=0.5)


def test_of_a_network_in_the_order_of_its_layers(network):
    x = torch.randn(2, 1, 16, 16)
    network.train()
    network.lifting_normalization.eval()  # a mode of its own
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    maps = nn.attention_maps(network, x)
    assert network.training and not network.lifting_normalization.training
    assert all(torch.equal(weights[name], t) for name, t in network.state_dict().items())
    assert list(maps) == [
        "lifting_self_attention",
        *(f"transformer.{layer}.attention.2" for layer in (0, 2, 3)),
    ]
    network.eval()
    torch.testing.assert_close(maps, nn.attention_maps(network, x))
    _, expected = network.lifting_self_attention(x, return_attention=True)
    torch.testing.assert_close(maps["lifting_self_attention"], expected)
    y = network.lifting_activation(network.lifting_normalization(network.lifting_self_attention(x)))
    block = network.transformer[0].attention
    _, expected = block[2](block[:2](y), return_attention=True)
    torch.testing.assert_close(maps["transformer.0.attention.2"], expected)


def test_hooks_are_removed_and_modes_restored_after_an_error(network):
    network.train()
    with pytest.raises(ValueError, match="takes"):
        nn.attention_maps(network, torch.randn(2, 3, 16, 16))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_of_a_layer_alone_and_of_a_compiled_one():
    layer, x = make("group_local").eval(), signal("group_local")
    _, expected = layer(x, return_attention=True)
    torch.testing.assert_close(nn.attention_maps(layer, x), {"": expected})
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        compiled(x)
    torch.testing.assert_close(nn.attention_maps(compiled, x), {"_orig_mod": expected})


def test_a_network_without_attention_is_named():
    with pytest.raises(ValueError, match="no attention layer of g_selfatt.nn ran in this Conv2d"):
        nn.attention_maps(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2))


def test_of_a_layer_that_is_called_by_keyword():
    layer = make("lift_local")

    class ByKeyword(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x=x)

    x = signal("lift_local")
    maps = nn.attention_maps(ByKeyword(), x)
    assert torch.equal(maps["layer"], layer.eval()(x, return_attention=True)[1])
