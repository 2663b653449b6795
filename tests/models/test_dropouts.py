"""Every dropout of every kind of network is applied in training, and in training only."""

import pytest
import torch

from g_selfatt import models

RATES = {
    ("p4sa", "rotDigits"): (
        "input_dropout_rate",
        "attention_dropout_rate",
        "value_dropout_rate",
        "dropout_rate_after_maxpooling",
    ),
    ("p4coatnet", "rotDigits"): ("dropout_rate", "attention_dropout_rate"),
    ("z2cnn", "rotMNIST"): ("dropout_rate",),
}


def same_twice(network):
    x = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        return torch.equal(network(x), network(x))


@pytest.mark.parametrize(("network", "rate"), [(n, rate) for n in RATES for rate in RATES[n]])
def test_each_dropout_is_applied_in_training_only(network, rate):
    without = dict.fromkeys(RATES[network], 0.0)
    assert same_twice(models.create_model(*network, **without))
    model = models.create_model(*network, **without | {rate: 0.5})
    assert not same_twice(model)
    assert same_twice(model.eval())
