"""Query, key and value by one product are those of three, and so are their gradients."""

import pytest
import torch
from four_layers import LAYERS, make, signal
from torch.profiler import profile

from g_selfatt import nn
from g_selfatt.functional import self_attention
from g_selfatt.nn import projections

BACKENDS = ["reference", "numba"]


def gradients(layer, x, **options):
    x = x.clone().requires_grad_()
    out = layer(x)
    torch.manual_seed(1)
    wanted = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [out, *torch.autograd.grad(out, wanted, torch.randn_like(out), **options)]


def three_products(monkeypatch):
    monkeypatch.setattr(projections, "are_plain", lambda modules: False)


@pytest.mark.parametrize("frozen", [None, "key.weight", "query.bias"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", LAYERS)
def test_one_product_is_three(kind, backend, frozen, monkeypatch):
    layer, x = make(kind, backend=backend), signal(kind)
    if frozen:
        layer.get_parameter(frozen).requires_grad_(False)
    got = gradients(layer, x)
    three_products(monkeypatch)
    torch.testing.assert_close(got, gradients(layer, x), rtol=0, atol=1e-12)


def test_second_derivatives_are_those_of_three(monkeypatch):
    layer, x = make("group_local", backend="reference"), signal("group_local", size=(3, 3))

    def second():
        first = gradients(layer, x, create_graph=True)
        weights = [layer.query.weight, layer.value.bias, layer.key.weight]
        return torch.autograd.grad(sum(g.square().sum() for g in first), weights)

    got = second()
    three_products(monkeypatch)
    torch.testing.assert_close(got, second(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_the_compiled_attention_are_not_copied(batch):
    layer, x = make("group_local", backend="numba"), signal("group_local")[:batch]

    def concatenations(modify):
        query, key, value = projections.project((layer.query, layer.key, layer.value), x)
        parts = [layer._split_heads(part) for part in (query, key, value)]
        encodings = (layer._encode_positions((3, 3)), *layer._encode_elements(x.device))
        encodings = [encoding.detach() for encoding in encodings]
        out = self_attention(*parts, *encodings, scale=0.5, backend="numba")
        modify(parts)
        with profile() as recorded:
            out.sum().backward()
        return sum(event.count for event in recorded.key_averages() if event.key == "aten::cat")

    assert concatenations(lambda parts: None) == 0
    assert concatenations(lambda parts: parts[1].register_hook(torch.clone)) == 1


@pytest.mark.parametrize(("side", "copies"), [(4, 0), (32, 1)])
def test_a_large_weight_is_copied_for_a_large_map_only(side, copies):
    layer = nn.LiftLocalSelfAttention("z2", 200, 20, 8, 10, 3, backend="reference")
    assert layer.query.weight.numel() > projections.LARGEST_COPIED
    x = torch.randn(1, 200, side, side)
    with profile(record_shapes=True) as recorded:
        got = projections.project((layer.query, layer.key, layer.value), x)
    shapes = [event.input_shapes for event in recorded.events() if event.name == "aten::bmm"]
    assert sum(shape[0] == [1, 600, 201] for shape in shapes) == copies
    expected = [project(x) for project in (layer.query, layer.key, layer.value)]
    torch.testing.assert_close(got, tuple(expected), rtol=0, atol=1e-5)


def test_what_hangs_on_a_projection_is_called():
    layer, x = make("group_local"), signal("group_local")
    seen = []
    layer.key.register_forward_hook(lambda module, args, out: seen.append(out))
    expected = layer(x)
    assert len(seen) == 1 and seen[0].shape == (2, 12, 4, 5, 6)
    layer.key.register_forward_hook(lambda module, args, out: 0 * out)
    assert (layer(x) - expected).abs().max() > 1e-3
