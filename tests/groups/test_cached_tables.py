"""Tables of a group are kept for later calls, and only those that mean something there."""

import torch
from torch.func import functional_call

from g_selfatt import nn


def test_no_table_of_a_function_transform_is_kept():
    layer, x = nn.LiftConv("p4", 2, 2, 3).eval(), torch.randn(1, 2, 5, 5)

    def loss(weights):
        return functional_call(layer, weights, (x,)).square().sum()

    weights = {name: weight.detach() for name, weight in layer.named_parameters()}
    torch.func.grad(loss)(weights)
    exported = torch.export.export(layer, (x,), strict=True)
    torch.testing.assert_close(exported.module()(x), layer(x))
