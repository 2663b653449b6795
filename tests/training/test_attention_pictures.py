"""The attention that pixels receive: its mean, its place in the image, and that it turns along."""

import pytest
import torch
import torch.nn.functional as F

from g_selfatt import models
from training.attention_pictures import received_attention
from training.errors import UserError


def network(name="p4sa", **arguments):
    torch.manual_seed(0)
    options = {"norm_type": "LayerNorm", "position_init_scale": 0.0, **arguments}
    return models.create_model(name, "rotDigits", **options).double().eval()


@pytest.mark.parametrize("attention_type", ["Local", "Global"])
def test_it_turns_with_the_image(attention_type):
    model = network(attention_type=attention_type)
    x = torch.rand(2, 1, 12, 12, dtype=torch.float64)
    upright = received_attention(model, x)
    turned = received_attention(model, x.rot90(1, (2, 3)))
    torch.testing.assert_close(
        turned, upright.rot90(1, (1, 2)), rtol=1e-9, atol=1e-9, equal_nan=True
    )
    assert not torch.allclose(upright, upright.rot90(1, (1, 2)), equal_nan=True)


def test_it_covers_what_the_crops_leave():
    # 12 pixels, 2 off every side, pooled to 4, 1 off every side in the layer before the last.
    received = received_attention(network(), torch.rand(1, 1, 12, 12, dtype=torch.float64))
    seen = ~received[0].isnan()
    assert seen.sum() == 16 and seen[4:8, 4:8].all()


def test_even_attention_is_one_everywhere():
    model = network(crop_per_layer=0)
    for name, weight in model.named_parameters():
        if "query" in name:
            torch.nn.init.zeros_(weight)  # all scores are 0
    received = received_attention(model, torch.rand(1, 1, 12, 12, dtype=torch.float64))
    torch.testing.assert_close(received, torch.ones_like(received))


def test_keys_without_any_weight_are_keys_of_the_window_too():
    """What all pixels receive together is what all queries give: 1 each."""
    model = network("z2sa", crop_per_layer=0, num_heads=1)
    for name, weight in model.named_parameters():
        if "query.weight" in name:
            weight.data.mul_(1e8)  # most weights are exactly 0
    received = received_attention(model, torch.rand(1, 1, 12, 12, dtype=torch.float64))
    pooled = received[:, ::2, ::2]  # the last layers are behind a pooling
    window = torch.ones(1, 1, 5, 5, dtype=torch.float64)
    keys = F.conv2d(torch.ones_like(pooled)[None], window, padding=2)
    even = F.conv2d(1 / keys, window, padding=2)[0]
    assert (received == 0).any()
    torch.testing.assert_close((pooled * even).sum().item(), float(pooled.numel()))


def test_a_network_without_attention_is_refused():
    with pytest.raises(UserError, match="no attention layer"):
        received_attention(models.create_model("z2cnn", "rotMNIST"), torch.rand(1, 1, 28, 28))


def test_poolings_behind_the_last_attention_do_not_move_it():
    options = {"attention_per_stage": ("Local", "Off"), "image_size": 24}
    model = models.create_model("p4coatnet", "rotDigits", **options).double().eval()
    received = received_attention(model, torch.rand(1, 1, 24, 24, dtype=torch.float64))[0]
    cells = received[::2, ::2]  # of the first stage, which pools once
    torch.testing.assert_close(received, cells.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert (cells.diff(dim=0) != 0).all() and (cells.diff(dim=1) != 0).all()
