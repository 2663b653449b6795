"""Without gradients, a large batch goes through a layer in parts, with the same numbers."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from g_selfatt import nn
from g_selfatt.nn import self_attention


@pytest.fixture
def sizes(monkeypatch):
    """Images of each call of the attention; there is room for three images of the test."""
    attend, sizes = self_attention.self_attention, []

    def note(query, *inputs, **options):
        sizes.append(len(query))
        return attend(query, *inputs, **options)

    monkeypatch.setattr(self_attention, "self_attention", note)
    room = 3 * 2 * 6 * 4 * 30 * 4  # queries of 2·6 channels, 4 elements, 30 pixels of 4 bytes
    monkeypatch.setattr(self_attention, "PROJECTED_BYTES", -(-room // torch.get_num_threads()))
    return sizes


def make(lifting, **options):
    layer = nn.LiftLocalSelfAttention if lifting else nn.GroupLocalSelfAttention
    axes = [] if lifting else [4]
    return layer("p4", 3, 6, 4, 2, 3, **options), torch.randn(7, 3, *axes, 5, 6)


@pytest.mark.parametrize("lifting", [True, False])
def test_a_batch_in_parts_gives_the_same_numbers(lifting, sizes):
    layer, x = make(lifting, attention_dropout_rate=0.1)
    layer.eval()
    expected = layer(x)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
        assert layer(x[:0]).shape == expected[:0].shape
        torch.testing.assert_close(layer(x, return_attention=True)[0], expected)
    assert sizes == [7, 3, 2, 2, 0, 7]
    layer(x)
    assert sizes[-1] == 7  # with gradients, all of it


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize("backend", ["numba", "recompute"])
def test_a_reentrant_checkpoint_differentiates_the_mask_of_its_forward(lifting, backend, sizes):
    layer, x = make(lifting, attention_dropout_rate=0.3, backend=backend)
    x.requires_grad_()
    torch.manual_seed(1)
    out = layer(x)
    expected = [out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]
    torch.manual_seed(1)
    out = checkpoint(layer, x, use_reentrant=True)
    out.square().sum().backward()
    got = [out, x.grad, *(weight.grad for weight in layer.parameters())]
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize("part", ["query", "key", "value", "wout"])
@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_hook_on_a_projection_sees_the_whole_batch(lifting, part, register, inside, sizes):
    layer, x = make(lifting)
    projection, seen = getattr(layer, part), []
    if inside:
        setattr(layer, part, torch.nn.Sequential(projection))
    getattr(projection, register)(lambda module, args, *output: seen.append(len(args[0])))
    with torch.no_grad():
        layer.eval()(x)
    assert seen == [7]
