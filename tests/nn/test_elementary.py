import pytest
import torch
from torch import nn

from g_selfatt.nn import (
    Conv1x1,
    Crop,
    Dropout,
    LayerNorm,
    Swish,
    TransformerBlock,
    elementary,
    initialize,
)
from g_selfatt.nn.elementary import HalvingPool
from g_selfatt.nn.positional_encoding import PositionMLP


def test_layer_norm_is_over_channels_group_and_space_together():
    norm = LayerNorm(3).double()
    nn.init.normal_(norm.layer_norm.weight)
    x = torch.randn(2, 3, 4, 5, 5).double() * 7 + 3
    flat = x.flatten(1)
    expected = (x - flat.mean(1).view(2, 1, 1, 1, 1)) / flat.var(1, unbiased=False).sqrt().view(
        2, 1, 1, 1, 1
    )
    expected = expected * norm.layer_norm.weight.view(1, 3, 1, 1, 1)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("sides", [(8, 8), (7, 8), (9, 5), (2, 3)])
@pytest.mark.parametrize("grad", [False, True])
def test_halving_pool_is_the_largest_of_two_by_two_pixels(sides, grad):
    x = torch.randn(2, 3, 4, *sides)
    x[0, 0, 0, 0, 0] = torch.nan
    with torch.set_grad_enabled(grad):
        pooled = HalvingPool()(x)
    expected = nn.functional.max_pool3d(x, (1, 2, 2))
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0, equal_nan=True)


def test_swish_is_x_times_its_sigmoid():
    x = torch.linspace(-5, 5, 11)
    torch.testing.assert_close(Swish()(x), x / (1 + torch.exp(-x)))


def test_crop_takes_pixels_off_every_side():
    x = torch.arange(30.0).reshape(1, 1, 5, 6)
    assert Crop(2)(x).tolist() == [[[[14.0, 15.0]]]]
    assert Crop(0)(x) is not None and torch.equal(Crop(0)(x), x)
    with pytest.raises(ValueError, match="cannot crop 3 pixels off every side of a 5×6 image"):
        Crop(3)(x)


@pytest.mark.parametrize("shape", [(3, 5, 7), (50, 41)])
def test_dropout_drops_each_number_at_its_rate(shape):
    torch.manual_seed(0)
    x, layer, rate, draws = torch.rand(shape) + 1, Dropout(0.3), 19661 / 2**16, 2000
    out = torch.stack([layer(x) for _ in range(draws)])
    dropped = out == 0
    torch.testing.assert_close(out, torch.where(dropped, 0, x / (1 - rate)))
    error = (rate * (1 - rate) / draws) ** 0.5
    assert (dropped.double().mean(0) - rate).abs().max() < 5 * error
    # Neighbours, which come from one draw, are dropped together as often as independent ones.
    numbers = dropped.flatten(1).double()
    together = (numbers[:, 1:] * numbers[:, :-1]).mean(0) - rate**2
    assert torch.all(together.abs() < 5 * error)
    assert torch.equal(layer.eval()(x), x)
    assert layer.train()(x[:0]).shape == x[:0].shape and layer(x.sum()).shape == ()


@pytest.mark.parametrize("largest", [0, 2**13], ids=["convolution", "product"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dimension", [2, 3])
def test_conv1x1_is_a_linear_map_of_the_channels(dimension, bias, largest, monkeypatch):
    monkeypatch.setattr(elementary, "LARGEST_PRODUCT", largest)
    conv = Conv1x1(3, 4, dimension=dimension, bias=bias).double()
    assert isinstance(conv, nn.Conv2d if dimension == 2 else nn.Conv3d)
    # Cropped, as inside a TransformerBlock: not contiguous.
    x = torch.randn(2, 3, *[6] * dimension).double()[..., 1:-1].requires_grad_()
    expected = torch.einsum("oi,bi...->bo...", conv.weight.flatten(1), x)
    if bias:
        expected = expected + conv.bias.view(4, *[1] * dimension)
    torch.testing.assert_close(conv(x), expected)
    d_out = torch.randn_like(expected)
    inputs = [x, *conv.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(conv(x), inputs, d_out), torch.autograd.grad(expected, inputs, d_out)
    )
    assert conv(x[:0]).shape == expected[:0].shape


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 5), (2, 4, 5, 5), (3, 5, 5)])
def test_conv1x1_refuses_other_axes(shape):
    with pytest.raises(
        ValueError, match=r"1×1 convolution of 3 channels takes \(B, 3, H, W\), got"
    ):
        Conv1x1(3, 4, dimension=2)(torch.zeros(shape))


def test_small_convolutions_are_matrix_products_and_large_ones_are_not(monkeypatch):
    monkeypatch.setattr(elementary, "LARGEST_PRODUCT", 2**13)  # as on most processors

    def operators(module, x):
        with torch.profiler.profile() as profile:
            module(x)
        return {event.key for event in profile.key_averages()}

    x = torch.randn(1, 64, 2, 3, 3)
    assert "aten::baddbmm" in operators(Conv1x1(64, 128), x)
    assert "aten::convolution" in operators(Conv1x1(64, 129), x)


def test_initialize_scales_by_the_fan_in_and_leaves_embeddings_alone():
    module = nn.Sequential(nn.Conv2d(50, 400, 3), nn.Embedding(4, 4))
    embedding = module[1].weight.clone()
    initialize(module, whitening_scale=1.5)
    assert module[0].weight.std().item() == pytest.approx(1.5 / (50 * 9) ** 0.5, rel=0.01)
    assert not module[0].bias.any() and torch.equal(module[1].weight, embedding)


def test_position_mlps_see_only_signs_until_they_are_spread():
    coordinates = torch.tensor([-1.0, -0.5, 0.5, 1.0]).view(-1, 1, 1, 1)
    mlp = PositionMLP(3)
    initialize(mlp, whitening_scale=0.3)
    negative, less, more, positive = mlp(coordinates).flatten(1)
    torch.testing.assert_close(negative, less)
    torch.testing.assert_close(more, positive)
    last = mlp[-1].weight.clone()
    mlp.spread(10.0)
    assert torch.equal(mlp[-1].weight, 10 * last)
    assert mlp[0].bias.abs().max() <= 1 and mlp[0].bias.min() < -0.5 < 0.5 < mlp[0].bias.max()
    outputs = mlp(coordinates).flatten(1)
    assert torch.pdist(outputs).min() > 0.01


@pytest.mark.parametrize("in_channels", [4, 6])
def test_transformer_block_is_its_picture(in_channels):
    attention = Conv1x1(in_channels, 6)  # any map of the right shape stands in for the attention
    block = TransformerBlock(in_channels, 6, attention, "LayerNorm", "Swish", 1, 0.1).eval()
    x = torch.randn(2, in_channels, 4, 5, 5)
    y = (block.attention(x) + block.shortcut(x))[..., 1:-1, 1:-1]
    torch.testing.assert_close(block(x), y + block.mlp(y))
    assert (len(block.shortcut) == 1) == (in_channels != 6)
    # The hidden layer of the MLP has half the channels.
    assert block.mlp[0].out_channels == 3


def test_a_transformer_block_of_one_channel_has_a_hidden_one():
    block = TransformerBlock(1, 1, nn.Identity(), "LayerNorm", "Swish", 0, 0.0)
    assert block(torch.randn(2, 1, 4, 3, 3)).shape == (2, 1, 4, 3, 3)


def test_unknown_norms_and_activations_are_refused():
    with pytest.raises(ValueError, match="norm_type 'InstanceNorm'; choose one of LayerNorm"):
        TransformerBlock(4, 4, nn.Identity(), "InstanceNorm", "Swish", 0, 0.0)
    with pytest.raises(ValueError, match="activation_function 'GELU'; choose one of Swish, ReLU"):
        TransformerBlock(4, 4, nn.Identity(), "LayerNorm", "GELU", 0, 0.0)
