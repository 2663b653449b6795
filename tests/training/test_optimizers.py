"""The optimizers against one step worked out by hand."""

from __future__ import annotations

import pytest
import torch

from training.optimizers import create_optimizer

LR, DECAY, W, GRAD = 0.1, 0.01, 2.0, 3.0


@pytest.fixture(params=[True, False], ids=["fused", "plain"])
def fused(request):
    return request.param


def after(name, steps, fused, momentum=0.9):
    weight = torch.nn.Parameter(torch.tensor([W], dtype=torch.float64))
    optimizer = create_optimizer(
        name, [weight], lr=LR, momentum=momentum, weight_decay=DECAY, fused=fused
    )
    for _ in range(steps):
        weight.grad = torch.tensor([GRAD], dtype=torch.float64)
        optimizer.step()
    return weight.item()


def test_sgd_has_momentum_and_an_l2_term(fused):
    first = GRAD + DECAY * W
    w1 = W - LR * first
    w2 = w1 - LR * (0.5 * first + GRAD + DECAY * w1)
    assert after("SGD", 1, fused, 0.5) == pytest.approx(w1, rel=1e-12)
    assert after("SGD", 2, fused, 0.5) == pytest.approx(w2, rel=1e-12)


def test_the_first_step_of_adam_is_the_learning_rate_and_decay_is_decoupled_in_adamw(fused):
    assert after("Adam", 1, fused) == pytest.approx(W - LR, rel=1e-8)
    assert after("AdamW", 1, fused) == pytest.approx(W - LR * DECAY * W - LR, rel=1e-8)


def test_adam_feels_its_weight_decay_as_a_gradient(fused):
    weight = torch.nn.Parameter(torch.tensor([W]))
    optimizer = create_optimizer(
        "Adam", [weight], lr=LR, momentum=0.9, weight_decay=DECAY, fused=fused
    )
    weight.grad = torch.zeros(1)
    optimizer.step()
    assert weight.item() == pytest.approx(W - LR, rel=1e-6)
