"""The counts of the floor, against counting one by one and against torch's own counter."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.rates import Rates
from benchmarks.work import (
    Work,
    attention_work,
    count_attention,
    pairs_on_a_line,
    step_work,
)
from benchmarks.worker import NetworkStep
from g_selfatt import groups
from g_selfatt.nn import (
    Conv1x1,
    GroupLocalSelfAttention,
    GroupSelfAttention,
    LiftLocalSelfAttention,
)


def one_by_one(layer, x):
    """Multiply-adds and exponentials of one head of one sample, by visiting every product."""
    c, outputs = layer.mid_channels, layer.group.num_elements
    elements = 1 if layer.lifting else outputs
    d = c if layer.lifting else 2 * (c // 3)
    e = c - d
    height, width = x.shape[-2:]
    reach = [k // 2 for k in layer.neighbourhood.window(height, width)]
    counts = dict.fromkeys(("forward", "backward", "factored", "joint"), 0)
    pixels = list(product(range(height), range(width)))
    for i, j in product(pixels, pixels):
        if abs(i[0] - j[0]) > reach[0] or abs(i[1] - j[1]) > reach[1]:
            continue
        for _g, _m in product(range(elements), range(elements)):
            counts["forward"] += c  # A
            counts["backward"] += 3 * c  # A again, dq, dk
            counts["factored"] += 1
        for _h, _g in product(range(outputs), range(elements)):
            counts["forward"] += d + c  # P, and with g in the place of m: W·v
            counts["backward"] += 3 * d + 2 * c  # P again, dq, dT; dW, dv
            counts["factored"] += 1
        for _h, _g, _m in product(range(outputs), range(elements), range(elements)):
            counts["forward"] += 3  # z, eA·eP, W
            counts["backward"] += 7  # x, W, y, D, s, dA, dP
            counts["joint"] += 1
    if not layer.lifting:
        for _ in pixels:
            for _g, _t in product(range(elements), range(outputs)):
                counts["forward"] += e  # U
                counts["backward"] += 3 * e  # U again, dq, dE
            for _h, _g, _m in product(range(outputs), range(elements), range(elements)):
                counts["forward"] += 2  # Z, r
                counts["factored"] += 1
    return counts


@pytest.mark.parametrize(
    "layer",
    [
        GroupLocalSelfAttention(groups.get("p4"), 2, 5, 2, 3, 3, 0.1),
        GroupLocalSelfAttention(groups.get("z2"), 2, 3, 2, 3, 3, 0.1),
        GroupSelfAttention(groups.get("mz2"), 2, 4, 2, 3, 4, 0.0),
        LiftLocalSelfAttention(groups.get("p4"), 2, 4, 2, 3, 5, 0.1),
    ],
    ids=lambda layer: f"{type(layer).__name__}-{layer.group.name}",
)
def test_attention_is_counted_as_one_by_one(layer):
    elements, outputs = 1 if layer.lifting else layer.group.num_elements, layer.group.num_elements
    x = torch.randn(2, 2, *([] if layer.lifting else [elements]), 3, 4)
    counts, units = one_by_one(layer, x), 2 * 3
    work = attention_work(layer, x)
    assert work.multiply_adds == units * (counts["forward"] + counts["backward"])
    assert work.exponentials == units * 2 * min(counts["factored"], counts["joint"])
    assert work.masks == (units * 2 * counts["joint"] if layer.attention_dropout_rate else 0)
    # q, k, v read twice, their gradients written; the output written, its gradient read
    assert work.bytes == 4 * units * layer.mid_channels * 12 * (9 * elements + 2 * outputs)
    work = attention_work(layer.eval(), x)
    layer.train()
    assert work.multiply_adds == units * counts["forward"]
    assert work.exponentials == units * min(counts["factored"], counts["joint"])
    assert work.masks == 0
    assert work.bytes == 4 * units * layer.mid_channels * 12 * (3 * elements + outputs)


def test_attention_by_hand():
    """One pixel, one group element, one channel each: all counts can be written down."""
    work = count_attention(
        units=1,
        channels=3,
        depth=2,
        group_depth=1,
        elements=1,
        outputs=1,
        pixels=1,
        pairs=1,
        dropout=True,
    )
    forward = 3 + 2 + 1 + 3 + 2 + 3
    backward = 3 + 2 + 1 + 7 + 6 + 6 + 4 + 2
    assert work == Work(forward + backward, exponentials=2, masks=2, bytes=4 * 3 * 11)


@pytest.mark.parametrize("length, window", [(1, 5), (4, 1), (5, 3), (6, 5), (4, 7)])
def test_pairs_on_a_line(length, window):
    pairs = [abs(i - j) <= window // 2 for i in range(length) for j in range(length)]
    assert pairs_on_a_line(length, window) == sum(pairs)


class Convolutions:
    """A step of two convolutions, the first of which has an input without gradient."""

    def __init__(self):
        self.network = nn.Sequential(Conv1x1(3, 5), Conv1x1(5, 7))

    def forward(self):
        return self.network(torch.randn(2, 3, 4, 6, 6)).sum()


def test_convolutions_are_counted_as_torch_counts_them():
    step = Convolutions()
    with FlopCounterMode(display=False) as counter:
        step.forward().backward()
    work = step_work(step, step.network)
    assert 2 * work.multiply_adds == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        step.forward()
    step.network.eval()
    assert 2 * step_work(step, step.network).multiply_adds == counter.get_total_flops()
    assert work.exponentials == work.masks == 0
    pixels = 2 * 4 * 6 * 6
    assert work.bytes == 4 * pixels * (2 * (3 + 5) + 2 * (5 + 7) + 5)


def test_a_network_is_the_sum_of_its_layers():
    step = NetworkStep("p4sa", "rotDigits", 2, backend="auto", device="cpu")
    work = step_work(step, step.network)
    attention = Work()
    for layer, size in zip(
        [m for m in step.network.modules() if hasattr(m, "attention_dropout_rate")],
        (12, 12, 4, 2),  # cropped by 2 and pooled, then cropped by 1
        strict=True,
    ):
        axes = [] if layer.lifting else [4]
        attention += attention_work(layer, torch.empty(2, layer.in_channels, *axes, size, size))
    assert work.exponentials == attention.exponentials > 0
    assert work.multiply_adds > attention.multiply_adds > work.multiply_adds / 2
    assert work.masks == 0  # this preset drops nothing


def test_floor_is_the_slower_of_computing_and_moving():
    work = Work(multiply_adds=100, exponentials=10, masks=5, bytes=1000)
    assert work.operations == 100 + 11 * 10 + 2 * 5
    assert work.floor_ms(Rates(multiply_adds=220, bytes=1e9)) == pytest.approx(1000)
    assert work.floor_ms(Rates(multiply_adds=1e9, bytes=500)) == pytest.approx(2000)
