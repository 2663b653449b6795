"""Every schedule against its closed form, step by step, through a real optimizer."""

from __future__ import annotations

import math

import pytest
import torch

from training.schedulers import create_scheduler

LR = 0.1


def rates(name, epochs, steps_per_epoch, **options):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=LR)
    scheduler = create_scheduler(
        name, optimizer, epochs=epochs, steps_per_epoch=steps_per_epoch, **options
    )
    seen = []
    for _ in range(epochs * steps_per_epoch):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_constant():
    assert rates("constant", 4, 3) == [LR] * 12


def test_multistep_divides_at_the_epochs_it_is_given():
    got = rates("multistep", 6, 2, decay_steps=(2, 5), decay_factor=4.0)
    assert got == pytest.approx([LR] * 4 + [LR / 4] * 6 + [LR / 16] * 2)


@pytest.mark.parametrize(("epochs", "steps"), [(40, 5), (33, 7)])
def test_linear_warmup_cosine_is_ten_epochs_up_and_half_a_cosine_down(epochs, steps):
    total, warmup = epochs * steps, 10 * steps
    expected = [LR * t / warmup for t in range(warmup)]
    expected += [
        LR * math.cos(0.5 * math.pi * (t - warmup) / (total - warmup)) ** 2
        for t in range(warmup, total)
    ]
    got = rates("linear_warmup_cosine", epochs, steps)
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert (got[0], got[warmup]) == (0.0, LR)


def test_linear_warmup_cosine_of_a_short_run_is_the_beginning_of_the_warm_up():
    # int(10/4 * 20) = 50 steps of warm-up, of which the run has 20
    assert rates("linear_warmup_cosine", 4, 5) == pytest.approx([LR * t / 50 for t in range(20)])


def test_one_cycle_rises_for_three_tenths_and_falls_to_almost_nothing():
    total, start, end = 40, LR / 25, LR / 25 / 1e4
    top = 0.3 * total - 1

    def cosine(a, b, progress):
        return b + (a - b) * 0.5 * (1 + math.cos(math.pi * progress))

    expected = [
        cosine(start, LR, t / top) if t <= top else cosine(LR, end, (t - top) / (total - 1 - top))
        for t in range(total)
    ]
    assert rates("one_cycle", 8, 5) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["constant", "multistep", "linear_warmup_cosine", "one_cycle"])
def test_a_run_of_one_step_is_possible(name):
    [rate] = rates(name, 1, 1, decay_steps=(1,), decay_factor=2.0)
    assert 0 <= rate <= LR
