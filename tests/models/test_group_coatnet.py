"""The convolutional family: invariance in float64, its twin without attention, any image size."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import main
from g_selfatt import groups
from g_selfatt.datasets import INFO
from g_selfatt.models import GroupCoAtNet, create_model, list_models
from g_selfatt.nn import GroupLocalSelfAttention, GroupSelfAttention
from g_selfatt.nn.self_attention import SelfAttention
from g_selfatt.testing import assert_equivariant, equivariance_error


def make(group="p4", attention=("Off", "Local", "Global"), **arguments):
    small = {
        "in_channels": 2,
        "num_classes": 5,
        "image_size": 20,
        "stem_channels": 4,
        "stem_kernel_size": 5,
        "channels_per_stage": (4, 6, 6),
        "blocks_per_stage": (1, 1, 1),
        "kernel_size": 3,
        "num_heads": 2,
        "head_channels": 3,
        "patch_size": 3,
    }
    network = GroupCoAtNet(group=group, attention_per_stage=attention, **small | arguments)
    # Statistics and biases that are not those of the start, so that nothing is zero or one.
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    network(torch.randn(8, 2, 20, 20))
    return network.double()


@pytest.mark.parametrize("shape", [(20, 20), (13, 18), (9, 7)])
@pytest.mark.parametrize("group", ["mz2", "p4", "p4m", "p8"])
def test_it_is_invariant_for_every_size_of_the_image(group, shape):
    x = torch.randn(2, 2, *shape, dtype=torch.float64)
    assert_equivariant(make(group), groups.get(group), x)


def test_every_stage_is_equivariant_and_the_logits_see_the_image():
    network, x = make("p4m"), torch.randn(2, 2, 20, 20, dtype=torch.float64)
    features = nn.Sequential(network.stem, network.stages)
    assert features.eval()(x).shape == (2, 6, 8, 3, 3)
    assert_equivariant(features, network.group, x)
    network.eval()
    assert (network(x) - network(x.flip(0))).abs().max() > 1e-3


def test_a_network_of_another_group_is_not_invariant():
    errors = equivariance_error(
        make("mz2"), groups.get("p4"), torch.randn(1, 2, 20, 20, dtype=torch.float64)
    )
    assert max(errors.exact.values()) > 1e-3


def test_the_twin_is_the_network_less_its_attention():
    network, twin = make("p4"), make("p4", ("Off", "Off", "Off"))
    layers = [type(m) for m in network.modules() if isinstance(m, SelfAttention)]
    assert layers == [GroupLocalSelfAttention, GroupSelfAttention]
    assert not any(isinstance(m, SelfAttention) for m in twin.modules())
    assert parameters(twin) < parameters(network)


def test_dropouts_and_the_unit_of_global_attention_reach_their_layers():
    network = make(dropout_rate=0.3, attention_dropout_rate=0.2)
    layers = [m for m in network.modules() if isinstance(m, SelfAttention)]
    assert [layer.attention_dropout_rate for layer in layers] == [0.2, 0.2]
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.3]
    assert layers[1].neighbourhood.max_pos_embedding == 3  # 20 pixels, pooled to 10, 5 and 3


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_every_weight_is_trained():
    network = make("p4").float()
    network(torch.randn(4, 2, 20, 20)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("kernel_size=2", "kernel_size: got 2, expected odd"),
        ("channels_per_stage=(16,0)", "channels_per_stage: got (16, 0), expected a whole number"),
        ("blocks_per_stage=()", "blocks_per_stage: got (), expected a whole number"),
        ("attention_per_stage=('Off','Axial')", "expected Off, Local or Global for each stage"),
        ("blocks_per_stage=(1,1,1)", "must have one entry for each stage"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(override, words, capsys):
    command = ["--config.model=p4convnet", "--config.smoke=True", f"--config.{override}"]
    assert main.main(command) == 2
    assert words in capsys.readouterr().err


def test_mistakes_name_what_would_be_right():
    with pytest.raises(ValueError, match="must have one entry for each stage"):
        make(attention=("Off", "Local"))
    with pytest.raises(ValueError, match="unknown attention_per_stage 'local'; choose of Off, L"):
        make(attention=("Off", "local", "Off"))
    with pytest.raises(
        ValueError, match="kernel_size must be odd, so that the size is kept, got 4"
    ):
        make(kernel_size=4)
    with pytest.raises(ValueError, match="expansion must be a whole number of at least 1, got 0"):
        make(expansion=0)
    with pytest.raises(
        ValueError, match="blocks_per_stage must be a whole number of at least 0, got -1"
    ):
        make(blocks_per_stage=(-1, 1, 1))
    with pytest.raises(ValueError, match="image_size must be a side or .*, got -1"):
        make(image_size=-1)


@pytest.mark.parametrize(
    ("dataset", "group", "limit"),
    [
        ("rotDigits", "p4", 10_000),
        ("rotMNIST", "p4", 100_000),
        ("CIFAR10", "mz2", 500_000),
        ("PCam", "p4m", 100_000),
    ],
)
def test_presets_keep_to_their_number_of_parameters(dataset, group, limit):
    network, twin = (create_model(f"{group}{kind}", dataset) for kind in ("coatnet", "convnet"))
    assert parameters(network) <= limit and parameters(twin) <= limit
    assert parameters(network) == pytest.approx(parameters(twin), rel=0.1)
    assert any(isinstance(m, SelfAttention) for m in network.modules())
    assert not any(isinstance(m, SelfAttention) for m in twin.modules())


def test_every_network_has_its_twin():
    names = list_models("*coatnet")
    assert sorted(name.replace("coat", "conv") for name in names) == sorted(list_models("*convnet"))


def test_attention_is_a_key_of_the_network():
    network = create_model("p4convnet", "rotDigits", attention_per_stage=("Global", "Off"))
    layers = [m for m in network.modules() if isinstance(m, SelfAttention)]
    assert [type(layer) for layer in layers] == [GroupSelfAttention]


def test_folders_of_images_of_any_size_have_a_preset():
    for image_size in (24, 64, 100, 224):
        info = replace(INFO["CIFAR10"], name="photographs", image_size=image_size)
        network = create_model("p4convnet", info)
        side = image_size
        for _ in network.stages:
            side = (side + 1) // 2
        assert 5 <= side <= 12
