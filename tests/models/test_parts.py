"""Evaluation of large batches in parts."""

import pytest
import torch

from g_selfatt.models import create_model, parts


@pytest.fixture
def network():
    torch.manual_seed(0)
    return create_model("p4sa", "rotMNIST").eval()


@pytest.fixture
def lengths(network):
    """How many images the network took at a time."""
    seen = []
    classify = network._classify
    network._classify = lambda x: (seen.append(len(x)), classify(x))[1]
    return seen


def test_parts_give_what_the_whole_batch_gives(network, lengths, monkeypatch):
    images = torch.randn(7, 1, 28, 28)
    with torch.no_grad():
        whole = network(images)
        monkeypatch.setattr(parts, "MAP_BYTES", 3 * 4 * 20 * 4 * 28 * 28)
        together = network(images)
    assert lengths == [7, 3, 2, 2]
    torch.testing.assert_close(together, whole, atol=1e-5, rtol=0)


def hooked(network):
    network.lifting_activation.register_forward_hook(lambda *_: None)


def dropping(network):
    network.transformer[0].train()


def replaced(network):
    class Mean(torch.nn.Module):  # of the batch
        def forward(self, x):
            return x - x.mean(0)

    network.lifting_activation = Mean()


@pytest.mark.parametrize("change", [hooked, dropping, replaced])
def test_the_batch_is_whole_for_what_could_tell(network, lengths, monkeypatch, change):
    monkeypatch.setattr(parts, "MAP_BYTES", 1)
    change(network)
    with torch.no_grad():
        network(torch.randn(3, 1, 28, 28))
    assert lengths == [3]


def test_the_batch_is_whole_with_gradients(network, lengths, monkeypatch):
    monkeypatch.setattr(parts, "MAP_BYTES", 1)
    network(torch.randn(3, 1, 28, 28))
    assert lengths == [3]
