"""Whole networks: golden logits, parameter counts, invariance in float64."""

import pytest
import torch

from g_selfatt import models
from g_selfatt.nn.self_attention import SelfAttention
from g_selfatt.testing import equivariance_error

# Of the released code, to the unit.
NUM_PARAMETERS = [
    ("rotMNIST", "z2sa", 44_368),
    ("rotMNIST", "mz2sa", 44_388),
    ("rotMNIST", "p4sa", 44_428),
    ("rotMNIST", "p8sa", 44_508),
    ("rotMNIST", "p4msa", 44_508),
    ("rotMNIST", "p12sa", 44_588),
    ("rotMNIST", "p16sa", 44_668),
    ("rotMNIST", "p8msa", 44_668),
    ("CIFAR10", "z2sa", 3_001_648),
    ("CIFAR10", "mz2sa", 3_001_808),
    ("CIFAR10", "p4msa", 3_002_768),
    ("PCam", "z2sa", 206_926),
    ("PCam", "p4sa", 207_034),
    ("PCam", "p4msa", 207_178),
    ("PCam", "p8msa", 207_466),
    ("rotMNIST", "z2cnn", 21_620),
]


@pytest.mark.parametrize(("dataset", "name", "expected"), NUM_PARAMETERS)
def test_parameter_counts_are_those_of_the_released_code(dataset, name, expected):
    model = models.create_model(name, dataset)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("index", [0, 1])
def test_golden_networks(golden, index):
    case = golden("models")[index]
    model = models.create_model(
        f"{case['group']}sa",
        "rotMNIST",
        patch_size=case["kwargs"]["patch_size"],
        group_encoding="paper",
    )
    models.load_original_state_dict(model, case["state_dict"])
    with torch.no_grad():
        logits = model.eval()(case["x"])
    assert (logits - case["logits"]).abs().max() < 1e-5 * case["logits"].abs().max()
    assert sum(p.numel() for p in model.parameters()) == case["num_params"]


@pytest.mark.parametrize(("name", "generators"), [("p4sa", [1]), ("p4msa", [1, 4])])
def test_rotmnist_networks_are_invariant(name, generators):
    """To a quarter turn and a mirror, which generate the group."""
    model = models.create_model(name, "rotMNIST").double().eval()
    x = torch.rand(1, 1, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        logits = model(x)
        for h in generators:
            turned = model(model.group.act_on_signal(x, h))
            assert (turned - logits).abs().max() < 1e-9 * logits.abs().max()


SMALL = {"image_size": 8, "crop_per_layer": (2, 0, 0), "num_heads": 2, "num_channels": 8}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mz2sa", {}),
        ("p4msa", {"norm_type": "BatchNorm", "activation_function": "ReLU"}),
        ("p4msa", {"attention_type": "Global"}),
        ("p8sa", {"attention_type": "Global"}),
        ("p12sa", {"patch_size": 3}),
        ("p8msa", {"patch_size": 3}),
    ],
)
def test_small_networks_are_invariant(name, options):
    model = models.create_model(name, "rotDigits", **SMALL, **options).double()
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    assert max(equivariance_error(model, model.group, x).exact.values()) < 1e-9


def test_a_network_of_the_released_encoding_is_not_invariant():
    model = models.create_model("p4sa", "rotDigits", group_encoding="paper", **SMALL).double()
    for parameter in model.parameters():  # at the start, the group term is still tiny
        torch.nn.init.normal_(parameter)
    errors = equivariance_error(model, model.group, torch.rand(1, 1, 8, 8, dtype=torch.float64))
    assert max(errors.values()) > 1e-4


def test_rotmnist_is_built_to_the_letter():
    model = models.create_model("p4sa", "rotMNIST")
    kinds = [type(layer).__name__ for layer in model.transformer]
    assert kinds == ["TransformerBlock"] * 2 + ["HalvingPool"] + ["TransformerBlock"] * 3 + [
        "Conv3d1x1"
    ]
    assert [b.crop.crop_size for b in model.transformer if hasattr(b, "crop")] == [2, 0, 2, 1, 1]
    attention = model.transformer[0].attention[2]
    assert (attention.mid_channels, attention.num_heads, attention.out_channels) == (10, 9, 20)


def test_pcam_and_cifar_are_built_to_the_letter():
    pcam = models.create_model("p4sa", "PCam")
    kinds = [type(layer).__name__ for layer in pcam.transformer]
    block = ["TransformerBlock", "LayerNorm", "Swish"]
    assert kinds == (
        ["HalvingPool"] + block + ["HalvingPool"] + 2 * block + ["HalvingPool"] + block
        + ["HalvingPool", "Conv3d1x1"]
    )  # fmt: skip
    channels = [b.attention[2].out_channels for b in pcam.transformer if hasattr(b, "crop")]
    assert channels == [24, 48, 48, 96]
    cifar = models.create_model("mz2sa", "CIFAR10")
    kinds = [type(layer).__name__ for layer in cifar.transformer]
    assert kinds == 2 * (2 * block + ["HalvingPool", "Dropout"]) + 2 * block + ["Conv3d1x1"]
    after_pooling = [layer.p for layer in cifar.transformer if isinstance(layer, torch.nn.Dropout)]
    assert (cifar.input_dropout.p, after_pooling) == (0.2, [0.3, 0.3])


def test_global_attention_follows_the_image_through_crops_and_pools():
    model = models.create_model("p4sa", "rotMNIST", attention_type="Global")
    layers = [model.lifting_self_attention]
    layers += [b.attention[2] for b in model.transformer if hasattr(b, "crop")]
    assert [layer.neighbourhood.max_pos_embedding for layer in layers] == [28, 28, 24, 12, 8, 6]


def test_dropouts_reach_their_layers():
    model = models.create_model(
        "p4sa",
        input_dropout_rate=0.1,
        attention_dropout_rate=0.2,
        value_dropout_rate=0.3,
        dropout_rate_after_maxpooling=0.4,
    )
    attention = [m for m in model.modules() if isinstance(m, SelfAttention)]
    assert {layer.attention_dropout_rate for layer in attention} == {0.2}
    named = {name: m.p for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert named.pop("input_dropout") == 0.1
    in_blocks = [p for name, p in named.items() if name.count(".") > 1]
    between = [p for name, p in named.items() if name.count(".") == 1]
    assert set(in_blocks) == {0.3} and len(in_blocks) == len(attention) - 1
    assert set(between) == {0.4}


def test_initialization_is_that_of_the_paper():
    model = models.create_model("p4sa", "CIFAR10")
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d)) and module.weight.numel() > 5000:
            std = 1.41421356 * module.weight[0].numel() ** -0.5
            assert module.weight.std().item() == pytest.approx(std, rel=0.05)
            assert module.bias is None or not module.bias.any()


def test_names_in_any_case_and_errors_in_one_line():
    assert models.model_entry("P4MSA").name == "p4msa"
    assert isinstance(models.create_model("Z2CNN", "rotmnist"), models.CNN)
    with pytest.raises(
        ValueError, match="unknown model 'p5sa'; choose one of z2cnn, z2convnet, mz2convnet"
    ):
        models.create_model("p5sa")
    with pytest.raises(ValueError, match="unknown data set 'ImageNet'"):
        models.create_model("p4sa", "ImageNet")
    with pytest.raises(ValueError, match="unknown attention_type 'local'; choose one of Local"):
        models.create_model("p4sa", attention_type="local")
    with pytest.raises(ValueError, match="z2cnn is made for 28×28 grey images"):
        models.create_model("z2cnn", "PCam")
    with pytest.raises(ValueError, match="leave nothing of an image of 28 pixels after block 2"):
        models.create_model("p4sa", crop_per_layer=3)
    with pytest.raises(ValueError, match="crop_per_layer must be one number or 5 of them"):
        models.create_model("p4sa", crop_per_layer=(1, 2))


def test_the_cnn_has_the_dropouts_of_its_paper():
    kinds = [type(layer).__name__ for layer in models.create_model("z2cnn").layers]
    layer, dropout = ["Conv2d", "BatchNorm2d", "ReLU"], ["Dropout"]
    assert kinds == (layer + dropout + layer + ["MaxPool2d"] + 4 * (layer + dropout) + ["Conv2d"])
