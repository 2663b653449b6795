"""Every generator is seeded, saved and put back."""

from __future__ import annotations

import io
import random

import numpy as np
import torch

from training.seeding import random_state, seed_everything, set_random_state


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_a_seed_decides_every_generator():
    seed_everything(5)
    first = draw()
    seed_everything(5)
    assert draw() == first
    seed_everything(6)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_the_state_goes_through_a_file_that_holds_no_code():
    seed_everything(2**32 - 1)
    draw()
    file = io.BytesIO()
    torch.save(random_state(), file)
    expected = [draw() for _ in range(3)]
    seed_everything(0)
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert [draw() for _ in range(3)] == expected
