"""Each key of the network arrives in the network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import training
from g_selfatt.datasets import INFO
from g_selfatt.models import CNN
from g_selfatt.models.group_transformer_presets import PRESETS
from g_selfatt.nn import Swish
from training.keys_taken import doubts
from training.network import compile_network, create_network
from training.precision import Precision


@pytest.fixture
def create(configure):
    def create(*overrides):
        config = configure("model=p4sa", *overrides)
        return create_network(config, INFO[config.dataset], torch.device("cpu"))

    return create


def kinds(network, kind):
    return sum(isinstance(module, kind) for module in network.modules())


def attention(network):
    """The lifting layer and one group layer of the small network."""
    return [module for module in network.modules() if hasattr(module, "attention_dropout_rate")]


def test_the_parts_are_those_that_are_named(create):
    layers = kinds(create(), Swish)
    position_mlps = 2 * len(attention(create()))  # have a Swish of their own, whatever is named
    assert kinds(create("activation_function=ReLU"), nn.ReLU) == layers - position_mlps
    assert kinds(create("norm_type=BatchNorm"), nn.BatchNorm3d) > 0
    assert kinds(create("norm_type=LayerNorm"), nn.BatchNorm3d) == 0


def test_attention_is_as_configured(create):
    overrides = ("dropout_att=0.3", "group_encoding=gevit", "patch_size=7", "backend=reference")
    lift, group = attention(create(*overrides))
    for layer in (lift, group):
        assert (layer.attention_dropout_rate, layer.backend) == (0.3, "reference")
        assert layer.neighbourhood.reach == 3
    assert group.group_encoding == "gevit"
    lift, _ = attention(create("attention_type=Global"))
    assert lift.neighbourhood.reach == 11  # the image has 12 pixels a side
    assert kinds(create("positional_encoding=table"), nn.Embedding) == 5  # 2 layers · 2, and group


def test_dropout_of_values_and_scale_of_weights(create):
    rates = {m.p for m in create("dropout_values=0.4").modules() if isinstance(m, nn.Dropout)}
    assert 0.4 in rates
    weights = []
    for scale in (0.5, 2.0):
        torch.manual_seed(0)
        network = create(f"whitening_scale={scale}")
        weights.append(network.lifting_self_attention.query.weight)
    assert torch.allclose(4 * weights[0], weights[1])


def test_position_mlps_are_spread_where_asked(create):
    names = ("row_embedding.0.bias", "col_embedding.0.bias")

    def biases(network):
        return [p for name, p in network.named_parameters() if name.endswith(names)]

    spread = biases(create("position_init_scale=3"))
    assert len(spread) == 4  # rows and columns of two layers
    assert all(bias.any() for bias in spread)
    assert not any(bias.any() for bias in biases(create("position_init_scale=0")))


def test_heads_start_at_offsets_where_asked(create, monkeypatch):
    monkeypatch.setitem(PRESETS["rotDigits"], "num_channels", 12)  # 2 channels a coordinate
    for strength in (0.0, 2.0):
        for layer in attention(create(f"locality_init={strength}")):
            bias = layer.query.bias.view(layer.mid_channels, layer.num_heads)
            expected = -strength / 2 * layer.in_channels**0.5
            assert torch.allclose(bias[0], torch.tensor(expected))


def test_z2cnn_has_no_attention_to_set_up(create):
    assert isinstance(create("model=z2cnn", "dataset=MNIST"), CNN)


def test_asking_a_backend_leaves_the_network_in_training_mode(create):
    assert create("backend=reference").training


def test_a_compiled_network_gives_the_same_numbers_and_the_same_checkpoint():
    info, cpu = INFO["rotMNIST"], torch.device("cpu")
    # Smooth: where a ReLU's input is nearly zero, rounding decides whether it has a gradient.
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 26**2, 10))
    network[1].eval()  # a mode of its own
    compiled = copy.deepcopy(network)
    compile_network(compiled, info, cpu, Precision("off", cpu, "constant"))
    assert compiled.training and not compiled[1].training
    x = torch.randn(4, 1, 28, 28)
    compiled(x).square().sum().backward()
    network(x).square().sum().backward()
    for ours, other in zip(compiled.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad)
    assert compiled.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ("model=p4convnet", []),
        (
            "model=p4convnet position_init_scale=3 whitening_scale=1 norm_type=LayerNorm",
            ["whitening_scale", "position_init_scale"],
        ),
        ("dataset=digitPairs augment=True model=z2convnet", ["augment"]),
        ("optimizer=SGD position_init_scale=0 locality_init=0", ["position_init_scale"]),
        ("optimizer=SGD position_init_scale=0 locality_init=0 positional_encoding=table", []),
        ("optimizer=SGD position_init_scale=1", []),
        ("optimizer=SGD model=p4convnet", []),
        ("optimizer=Adam position_init_scale=0 locality_init=0", []),
    ],
)
def test_keys_that_can_hardly_be_meant_are_named(configure, overrides, names):
    assert [line.partition(":")[0] for line in doubts(configure(*overrides.split()))] == names


def test_doubts_are_logged(configure, caplog):
    training.run(configure("model=p4convnet", "whitening_scale=1", "smoke=True"))
    assert "whitening_scale: p4convnet takes no such key, so it changes nothing" in caplog.text
