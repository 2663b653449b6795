"""The arguments of the four attention layers: all shown, all documented, all taken."""

import doctest
import inspect
import json
import re

import numpy as np
import pytest
import torch

from g_selfatt import functional, groups, models, nn, testing

LAYERS = [
    nn.LiftSelfAttention,
    nn.LiftLocalSelfAttention,
    nn.GroupSelfAttention,
    nn.GroupLocalSelfAttention,
]


@pytest.mark.parametrize("layer", LAYERS)
def test_help_shows_every_argument(layer):
    arguments = re.search(r"Args:\n(.*?)\n\s*\n", layer.__doc__, re.DOTALL)[1]
    indent = re.match(" *", arguments)[0]
    documented = re.findall(rf"^{indent}(\w+): \w", arguments, re.MULTILINE)
    assert documented == list(inspect.signature(layer).parameters)
    assert {"backend", "device", "dtype", "positional_encoding"} < set(documented)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_example_in_the_help_runs(layer):
    names = {"torch": torch, **vars(nn)}
    example = doctest.DocTestParser().get_doctest(layer.__doc__, names, layer.__name__, None, None)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("layer", LAYERS)
def test_a_group_by_its_name_and_no_dropout_unless_asked(layer):
    made = layer("p4m", 5, 6, 7, 2, 3)
    assert repr(made.group) == repr(groups.get("p4m"))
    assert made.attention_dropout_rate == 0.0


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_of_a_dtype_on_a_device(layer):
    made = layer("p4", 5, 6, 7, 2, 3, dtype=torch.float64, device="meta")
    assert {(p.dtype, p.device.type) for p in made.parameters()} == {(torch.float64, "meta")}
    torch.manual_seed(1)
    before = layer("p4", 5, 6, 7, 2, 3)
    torch.manual_seed(1)
    same = layer("p4", 5, 6, 7, 2, 3, dtype=torch.float32, device="cpu")
    assert all(map(torch.equal, before.parameters(), same.parameters()))


def test_an_unknown_keyword_is_refused_by_its_name():
    with pytest.raises(TypeError, match="bakend"):
        nn.LiftSelfAttention("p4", 5, 6, 7, 2, 3, bakend="reference")


def test_sizes_may_be_integers_of_numpy():
    layer = nn.LiftLocalSelfAttention("p4", *np.array([1, 4, 4, 2, 5]))
    x = torch.zeros(1, 1, 6, 6)
    assert torch.compile(layer, fullgraph=True, backend="eager")(x).shape == (1, 4, 4, 6, 6)
    network = models.create_model("p4convnet", "rotDigits", image_size=np.int64(12))
    network.reset_classifier(np.int64(4))
    assert json.dumps(network.network_record)  # as it is kept with weights


def test_groups_by_their_names_elsewhere():
    lift = nn.LiftConv("p4m", 1, 2, 3).double()
    network = torch.nn.Sequential(lift, nn.GroupConv("p4m", 2, 2, 3).double())
    testing.assert_equivariant(network, "p4m", torch.randn(1, 1, 7, 7).double())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.LiftLocalSelfAttention("p4", 1, 4, 6, 0, 3),
            "num_heads must be a whole number of at least 1, got 0",
        ),
        (
            lambda: nn.GroupSelfAttention("p4", 1, 6, 0, 2, 3),
            "out_channels must be a whole number of at least 1, got 0",
        ),
        (
            lambda: nn.GroupConv("p4", 2, 2, (3, 3)),
            r"kernel_size must be a whole number of at least 1, got \(3, 3\)",
        ),
        (
            lambda: nn.LiftLocalSelfAttention("p4", 1, 4, 4, 2, (5, 5)),
            r"patch_size must be a whole number of at least 1, got \(5, 5\)",
        ),
        (
            lambda: nn.GroupLocalSelfAttention("p4", 4, -2, 4, 2, 5),
            "mid_channels must be a whole number of at least 1, got -2",
        ),
        (lambda: nn.MaxPool()(torch.zeros(3, 4, 4)), r"takes \(B, C, …, H, W\), got \(3, 4, 4\)"),
        (
            lambda: nn.LiftConv("p4", 1, 2, 3)(torch.zeros(2, 1, 0, 4)),
            r"takes \(B, 1, H, W\), got \(2, 1, 0, 4\)",
        ),
        (
            lambda: models.create_model("p4sa", "rotDigits", patch_size=0),
            "patch_size must be a whole number of at least 1, got 0",
        ),
        (
            lambda: models.create_model("p4convnet", "rotDigits").reset_classifier(-1),
            "num_classes must be a whole number, or 0 for features, got -1",
        ),
        (
            lambda: nn.LiftConv("p4", 0, 2, 3),
            "in_channels must be a whole number of at least 1, got 0",
        ),
        (
            lambda: nn.LiftConv("p4", 1, 2, 4)(torch.zeros(1, 1, 1, 5)),
            "LiftConv with kernel_size 4 takes sides of at least 2 pixels, got 1×5",
        ),
        (
            lambda: nn.GroupConv("p8", 2, 2, 2),
            "no weight of a 2×2 filter lies in the disc that p8 turns.* take kernel_size 3",
        ),
        (
            lambda: nn.TransformerBlock(4, 4, nn.MaxPool(), "LayerNorm", "Swish", 0, 1.0),
            r"value_dropout_rate must be in \[0, 1\), got 1.0",
        ),
        (
            lambda: groups.get("p8").left_action_on_Rd(1, torch.tensor([2, 0])),
            "element 1 of p8 .*: expected floating-point positions, got torch.int64",
        ),
        (lambda: nn.Crop(-1), "crop_size must be a whole number of at least 0, got -1"),
        (lambda: groups.get(4), "a group is a Group or its name, e.g. 'p4', got 4"),
        (
            lambda: functional.invariant_pooling(torch.zeros(1, 2, 3, 3)),
            r"expected a map \(B, C, \|H\|, H, W\), got \(1, 2, 3, 3\)",
        ),
        (
            lambda: models.create_model("z2cnn")(torch.zeros(1, 1, 32, 32)),
            r"takes images \(B, C, 28, 28\), got \(1, 1, 32, 32\)",
        ),
        (
            lambda: nn.GroupSelfAttention("p4", 3, 6, 3, 2, 5, group_encoding=None),
            "^unknown group_encoding None; choose one of equivariant, relative, gevit, paper$",
        ),
        (
            lambda: nn.GroupLocalSelfAttention("p4", 3, 6, 3, 2, 3, group_encoding=None),
            "^unknown group_encoding None; choose one of equivariant, relative, gevit, paper$",
        ),
        (
            lambda: nn.LiftLocalSelfAttention("p4", 3, 6, 3, 2, 3, attention_dropout_rate=None),
            r"^attention_dropout_rate must be in \[0, 1\), got None$",
        ),
        (lambda: nn.Crop(1.5), "^crop_size must be a whole number of at least 0, got 1.5$"),
        (lambda: nn.Conv1x1(3, 3, dimension=1), "^dimension must be 2 or 3, got 1$"),
        (
            lambda: nn.Conv1x1("3", 3),
            "^in_channels must be a whole number of at least 1, got '3'$",
        ),
        (
            lambda: nn.LiftConv("p4", 1, 2, "3"),
            "^kernel_size must be a whole number of at least 1, got '3'$",
        ),
        (
            lambda: nn.TransformerBlock(
                4,
                6,
                nn.GroupLocalSelfAttention("p4", 4, 6, 5, 2, 3),
                "LayerNorm",
                "Swish",
                crop_size=0,
                value_dropout_rate=0.0,
            ),
            "^out_channels of the attention_layer must be 6, got 5$",
        ),
        (lambda: nn.GroupPool(["max"]), r"^unknown reduction \['max'\]; choose one of max, mean$"),
    ],
)
def test_arguments_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
