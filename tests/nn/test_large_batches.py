"""Without gradients, a large batch goes through a layer in parts, with the same numbers."""

import pytest
import torch

from g_selfatt import groups, nn
from g_selfatt.nn import self_attention


@pytest.mark.parametrize("lifting", [True, False])
def test_a_batch_in_parts_gives_the_same_numbers(lifting, monkeypatch):
    group = groups.get("p4")
    layer, axes = nn.GroupLocalSelfAttention(group, 3, 6, 4, 2, 3, 0.1).eval(), [4]
    if lifting:
        layer, axes = nn.LiftLocalSelfAttention(group, 3, 6, 4, 2, 3, 0.1).eval(), []
    x = torch.randn(7, 3, *axes, 5, 6)
    sizes = []
    layer.query.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    expected = layer(x)
    # Room for three images: queries of 2·6 channels, 4 elements, 30 pixels of 4 bytes.
    room = 3 * 2 * 6 * 4 * 30 * 4
    monkeypatch.setattr(self_attention, "PROJECTED_BYTES", -(-room // torch.get_num_threads()))
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
        assert layer(x[:0]).shape == expected[:0].shape
        torch.testing.assert_close(layer(x, return_attention=True)[0], expected)
    assert sizes == [7, 3, 3, 1, 0, 7]
    layer(x)
    assert sizes[-1] == 7  # with gradients, all of it
