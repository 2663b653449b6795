"""What `amp` means, and that no step is left out without being counted."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F

from training.precision import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler")  # CUDA is only named here
@pytest.mark.parametrize(
    ("amp", "device", "scheduler", "expected"),
    [
        ("auto", CUDA, "constant", "fp16"),
        ("auto", CUDA, "one_cycle", "off"),
        ("auto", CPU, "constant", "off"),
        ("off", CUDA, "constant", "off"),
        ("bf16", CPU, "constant", "bf16"),
    ],
)
def test_auto_is_fp16_on_cuda_under_a_constant_learning_rate_alone(
    amp, device, scheduler, expected
):
    assert Precision(amp, device, scheduler).amp == expected


def test_amp_with_a_scheduler_warns_when_it_is_forced(caplog):
    with caplog.at_level(logging.WARNING):
        Precision("auto", CPU, "one_cycle")
        Precision("bf16", CPU, "constant")
        assert not caplog.records
        Precision("bf16", CPU, "one_cycle")
    assert "amp=bf16 with scheduler=one_cycle" in caplog.text


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16)])
def test_the_type_that_a_network_computes_in(amp, dtype):
    precision = Precision(amp, CPU, "constant")
    # off is off even inside another's autocast
    with torch.autocast("cpu", dtype=torch.bfloat16), precision.autocast():
        assert F.linear(torch.ones(1, 2), torch.ones(3, 2)).dtype == dtype


def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_counted():
    precision = Precision("fp16", CPU, "constant")
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    steps = [1.0, float("inf"), 1.0]
    seen = []
    for slope in steps:
        optimizer.zero_grad()
        precision.step((weight * slope).sum(), optimizer)
        seen.append((weight.item(), precision.skipped))
    assert seen == [(0.5, 0), (0.5, 1), (0.0, 1)]


def test_gradients_are_clipped_by_their_own_norm_and_not_by_the_scaled_one():
    precision = Precision("fp16", CPU, "constant")
    small, large = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    for slope, weight in ((0.5, small), (8.0, large)):
        optimizer = torch.optim.SGD([weight], lr=1.0)
        precision.step((weight * slope).sum(), optimizer, clip_grad_norm=2.0)
    assert small.item() == -0.5 and large.item() == pytest.approx(-2.0)


def test_the_scale_and_the_count_survive_saving():
    precision = Precision("fp16", CPU, "constant")
    weight = torch.nn.Parameter(torch.ones(1))
    precision.step((weight * float("inf")).sum(), torch.optim.SGD([weight], lr=0.5))
    restored = Precision("fp16", CPU, "constant")
    restored.load_state_dict(precision.state_dict())
    assert restored.state_dict() == precision.state_dict()
    assert restored.state_dict()["scaler"]["scale"] == 2.0**15  # halved once from torch's 2**16
    assert restored.skipped == 1


def test_off_has_no_tf32_either(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
    Precision("off", CPU, "constant")
    assert not torch.backends.cudnn.allow_tf32


def test_off_takes_the_very_step_of_plain_torch():
    results = []
    for precise in (True, False):
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 2)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        loss = layer(torch.randn(3, 4)).square().sum()
        if precise:
            Precision("off", CPU, "constant").step(loss, optimizer)
        else:
            loss.backward()
            optimizer.step()
        results.append(layer.weight.detach().clone())
    assert torch.equal(*results)
