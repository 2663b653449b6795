"""Layers whose weights PyTorch's tools hold as plain tensors: replicas, FSDP, pruning, norms."""

import pytest
import torch
from torch.nn.utils import prune, spectral_norm

from g_selfatt import nn


def make(encoding="mlp"):
    layer = nn.GroupLocalSelfAttention("p4", 3, 6, 3, 2, 3, positional_encoding=encoding)
    return layer, torch.randn(2, 3, 4, 5, 6)


def replica(layer):
    """As `torch.nn.parallel.replicate` makes it for each device."""
    copies = {module: module._replicate_for_data_parallel() for module in layer.modules()}
    for module, copy in copies.items():
        for name, child in module.named_children():
            setattr(copy, name, copies[child])
        for name, weight in module.named_parameters(recurse=False):
            setattr(copy, name, weight.clone())
    return copies[layer]


@pytest.mark.parametrize("encoding", ["mlp", "table"])
def test_a_replica_trains_the_weights_of_its_layer(encoding):
    layer, x = make(encoding)
    weights = list(layer.parameters())
    got, expected = replica(layer)(x), layer(x)
    assert torch.equal(got, expected)
    got, expected = (torch.autograd.grad(y.square().sum(), weights) for y in (got, expected))
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("encoding", ["mlp", "table"])
@torch.no_grad()
def test_replicas_in_eval_mode_see_new_weights(encoding):
    layer, x = make(encoding)
    layer.eval()
    before = replica(layer)(x)
    for weight in layer.col_embedding.parameters():
        weight.mul_(2)
    after = replica(layer)(x)
    assert torch.equal(after, layer(x)) and not torch.allclose(after, before)


@pytest.mark.filterwarnings("ignore:FSDP is switching")
def test_fsdp_of_flat_parameters(one_process):
    from torch.distributed.fsdp import FullyShardedDataParallel

    layer, x = make()
    expected = layer(x)
    sharded = FullyShardedDataParallel(layer, device_id=torch.device("cpu"))
    out = sharded(x)
    assert torch.equal(out, expected)
    out.square().sum().backward()
    assert all(weight.grad.any() for weight in sharded.parameters())
    with torch.no_grad():
        assert torch.equal(sharded.eval()(x), expected)


def by_pruning(embedding):
    prune.l1_unstructured(embedding, "weight", amount=0.5)


@pytest.mark.parametrize("change", [by_pruning, spectral_norm])
def test_what_decides_the_group_embedding_is_trained(change):
    layer, x = make()
    twin, _ = make()
    change(layer.group_embedding)
    (raw,) = layer.group_embedding.parameters()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        out = layer(x)
        twin.load_state_dict(layer.state_dict(), strict=False)
        twin.group_embedding.weight.data = layer.group_embedding.weight.detach().clone()
        torch.testing.assert_close(out, twin(x))
        before = raw.detach().clone(), layer.group_embedding.weight.detach().clone()
        out.square().sum().backward()
        optimizer.step()
        layer(x)
        assert not torch.equal(raw, before[0])
        assert not torch.equal(layer.group_embedding.weight, before[1])


def test_hooks_on_the_group_embedding_are_called():
    layer, x = make()
    expected = layer(x)
    layer.group_embedding.register_forward_hook(lambda module, rows, output: 2 * output)
    doubled = layer(x)
    assert not torch.allclose(doubled, expected)
    with torch.no_grad():
        layer.group_embedding.weight.div_(2)
    torch.testing.assert_close(layer(x), expected)
