"""The tester is tested: it must fail what is not equivariant, and measure what is not exact."""

import math

import pytest
import torch
from torch import nn

from g_selfatt import groups
from g_selfatt.nn import GroupLocalSelfAttention, LiftLocalSelfAttention
from g_selfatt.testing import UpTo, assert_equivariant, equivariance_error, layer_errors


class AddRowNumber(nn.Module):
    """Knows where it is in the image, and so is not equivariant to turns."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x + self.size * torch.arange(x.shape[-2])[:, None]


def test_what_is_not_equivariant_fails():
    x = torch.rand(1, 1, 5, 5).double()
    with pytest.raises(AssertionError, match="AddRowNumber is not equivariant to p4"):
        assert_equivariant(AddRowNumber(1e-6), groups.get("p4"), x)
    assert_equivariant(AddRowNumber(0.0), groups.get("p4"), x)
    assert_equivariant(AddRowNumber(1e-6), groups.get("p4"), x.float())


def test_the_error_is_the_one_computed_by_hand():
    x = torch.ones(1, 1, 3, 3).double()
    errors = equivariance_error(AddRowNumber(1.0), groups.get("p2"), x)
    # Half a turn exchanges rows 0 and 2: the difference is 2, the output reaches 1 + 2.
    assert errors[0] == 0.0 and errors[1] == pytest.approx(2 / 3)


def test_nan_is_not_equivariant():
    layer = nn.Conv2d(1, 1, 1)
    nn.init.constant_(layer.weight, float("nan"))
    with pytest.raises(AssertionError):
        assert_equivariant(layer, groups.get("p4"), torch.rand(1, 1, 4, 4))


def test_what_cannot_be_judged_is_said():
    x = torch.randn(1, 1, 6, 6)
    zero = nn.Conv2d(1, 2, 3, padding=1)
    nn.init.zeros_(zero.weight), nn.init.zeros_(zero.bias)
    for module, given, words in (
        (zero, x, "Conv2d returns zeros: nothing can be judged"),
        (nn.Conv2d(1, 2, 3, bias=False), 0 * x, "returns zeros"),
        (nn.LSTM(6, 3), x[0], "LSTM returns a tuple, expected a tensor"),
        (nn.Identity(), x.to(torch.uint8), "x is torch.uint8, expected one of torch."),
    ):
        with pytest.raises(ValueError, match=words):
            assert_equivariant(module, "p4", given)


def test_elements_that_must_interpolate_are_told_apart():
    group = groups.get("p8")
    layer = LiftLocalSelfAttention(group, 1, 2, 2, 1, 5, 0.0).double()
    axis = torch.linspace(-2, 2, 33).double()
    blob = torch.exp(-((axis[:, None] - 0.3) ** 2) - 2 * axis**2)[None, None]
    errors = equivariance_error(layer, group, blob)
    assert errors.interpolated == (1, 3, 5, 7)
    assert list(errors.exact) == [0, 2, 4, 6]
    assert "1: " in repr(errors) and "(interpolated)" in repr(errors)
    assert max(errors.exact.values()) < 1e-12 < max(errors.values())


def test_dropout_and_mode_do_not_matter():
    group = groups.get("p4")
    layer = GroupLocalSelfAttention(group, 2, 3, 2, 1, 3, 0.5).double().train()
    assert_equivariant(layer, group, torch.randn(1, 2, 4, 4, 4).double())
    assert layer.training


def test_a_frozen_part_stays_frozen():
    group = groups.get("p4")
    frozen = nn.BatchNorm2d(1).eval()
    network = nn.Sequential(frozen, nn.Dropout(0.5))  # in training mode, but for its first part
    equivariance_error(network, group, torch.randn(1, 1, 4, 4))
    assert network.training and network[1].training and not frozen.training


def test_a_map_without_a_disc_says_nothing_about_elements_between():
    errors = equivariance_error(nn.Identity(), groups.get("p8"), torch.randn(1, 1, 2, 2))
    assert all(errors[h] == 0.0 for h in (0, 2, 4, 6))
    assert all(errors[h] != errors[h] for h in (1, 3, 5, 7))


def test_layers_inside_a_network_are_measured_as_by_themselves():
    group = groups.get("p4")
    lifting = LiftLocalSelfAttention(group, 1, 4, 6, 2, 3, 0.1)
    wrong = AddRowNumber(1e-3)
    network = nn.Sequential(lifting, nn.ReLU(), wrong).double().train()
    x = torch.rand(1, 1, 6, 5).double()
    errors = layer_errors(network, "p4", x, {"end": network, "lifting": lifting, "wrong": wrong})
    assert list(errors) == ["lifting", "wrong", "end"]
    assert errors["lifting"] == equivariance_error(lifting, group, x)
    assert errors["end"] == errors["wrong"] == equivariance_error(network, group, x)
    assert max(errors["lifting"].values()) < 1e-12 < 1e-4 < max(errors["wrong"].values())
    assert network.training and lifting.training


def test_a_network_up_to_a_layer():
    inside = nn.Conv2d(1, 2, 1)
    network = nn.Sequential(inside, nn.ReLU())
    x = torch.randn(1, 1, 3, 3)
    assert torch.equal(UpTo(network, inside)(x), inside(x))
    assert not network[0]._forward_hooks
    with pytest.raises(ValueError, match="Sequential does not compute other"):
        layer_errors(network, "p4", x, {"other": nn.ReLU()})


def test_a_group_of_which_nothing_can_be_judged_is_refused():
    convolution, x = nn.Conv2d(1, 1, 3, padding=1).double(), torch.randn(1, 1, 9, 9).double()
    with pytest.raises(ValueError, match="no element of p3 but the identity"):
        assert_equivariant(convolution, "p3", x)
    assert_equivariant(convolution, "z2", x)  # a group that is the identity alone


def test_an_activation_in_place_hides_nothing():
    wrong = AddRowNumber(-1.0)
    network = nn.Sequential(nn.ReLU(inplace=True), wrong, nn.ReLU(inplace=True))
    x = torch.randn(1, 1, 4, 4).double()
    before = x.clone()
    errors = layer_errors(network, "p4", x, {"wrong": wrong})["wrong"]
    assert torch.equal(x, before)
    assert errors == equivariance_error(wrong, "p4", x.relu())
    assert errors[1] > 0.1


@pytest.mark.parametrize("wide", [3, 5])
def test_another_shape_than_the_turned_output_s_is_an_infinite_error(wide):
    """A line of equal pixels, the same way up however the input is turned, broadcasts to itself."""

    class Line(nn.Module):
        def forward(self, x):
            return x.mean((-2, -1), keepdim=True).expand(-1, -1, 1, wide)

    errors = equivariance_error(Line(), "p4", torch.rand(1, 1, 6, 6))
    assert list(errors.values()) == pytest.approx([0, math.inf, 0, math.inf], abs=1e-6)
    with pytest.raises(AssertionError, match="inf"):
        assert_equivariant(Line(), "p4", torch.rand(1, 1, 6, 6))
