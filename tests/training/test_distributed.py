"""Two processes of torchrun, over gloo: the numbers of one; and a group that loses a process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import IMAGES, configuration, figures, history, make_small
from torch import nn

import training
from g_selfatt.models import WEIGHTS
from training import distributed
from training.batch_norm import CPUSyncBatchNorm
from training.errors import ConfigError
from training.run_folder import CONFIG, CONFUSION, CURVES, METRICS, STATE, run_name

WORKER = Path(__file__).with_name("worker.py")
SAME = ("dropout_att=0", "dropout_values=0", "augment=True", "epochs=2")
# The gradient of a bias before a BatchNorm is rounding only, and Adam makes whole steps of it: SGD.
NORMS = {
    "LayerNorm": SAME,
    "BatchNorm": (*SAME, "norm_type=BatchNorm", "optimizer=SGD", "lr=0.001"),
}
KILLED = ("dropout_att=0.2", "seed=4", "checkpoint_minutes=1e-9")
ODD = IMAGES + 1  # the last batch of validation is one image, and one process has none of it


def torchrun(folder: Path, *groups: dict) -> str:
    """Start groups of processes, one after the other; gives what they say."""
    command = [sys.executable, str(WORKER), str(folder), str(ODD), json.dumps(groups)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def group(processes: int, *runs: dict, restarts: int = 0) -> dict:
    return {"processes": processes, "restarts": restarts, "runs": runs}


def stopped(seed: int) -> dict:
    """A run that is told to stop in its second epoch."""
    return {"overrides": [*SAME, f"seed={seed}"], "step": 4, "signal": "SIGTERM"}


def losses(folder: Path) -> list[float]:
    *epochs, last = history(folder)
    both = [row[f"{split}_loss"] for row in epochs for split in ("train", "validation")]
    return [*both, last["test_loss"]]


def name(*overrides: str) -> str:
    return run_name(configuration(Path("."), *overrides))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Runs of one, two and four processes; the folder, and what was said."""
    folder = tmp_path_factory.mktemp("together")
    runs = [*({"overrides": overrides} for overrides in NORMS.values())]
    runs += [stopped(seed=2), stopped(seed=5), {"overrides": [*SAME, "seed=6"]}]
    runs += [{"overrides": [*SAME, "batch_size=7"]}, {"overrides": KILLED}]
    runs += [{"overrides": [*SAME, "seed=7"], "unreadable": 2}]
    elsewhere = [*KILLED, f"save_dir={folder / 'killed'}"]
    return folder, torchrun(
        folder,
        group(1, stopped(seed=6)),
        group(2, *runs),
        group(4, {"overrides": [*SAME, "seed=5"]}),
        group(2, {"overrides": elsewhere, "step": 5, "signal": "SIGKILL"}, restarts=1),
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The network and the images of the processes, whose runs have their names from them."""
    make_small(monkeypatch, ODD)


@pytest.fixture
def alone(tmp_path):
    """A run of one process on as many images; gives its folder."""

    def alone(*overrides: str, save_dir: Path = tmp_path) -> Path:
        training.run(configuration(save_dir, *overrides))
        return save_dir / name(*overrides)

    return alone


@pytest.mark.parametrize("norm", NORMS)
def test_two_processes_have_the_losses_of_one(together, alone, norm):
    overrides = NORMS[norm]
    one, two = alone(*overrides), together[0] / name(*overrides)
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
    assert history(two)[-1]["test_images"] == ODD  # each once
    for left, right in zip(history(one), history(two), strict=True):
        assert left.keys() == right.keys()


def test_two_processes_count_the_answers_of_one(together):
    """The weights of two, evaluated by one, have the accuracies of the classes to the bit."""
    folder = together[0] / name(*SAME)
    again = training.run(configuration(together[0], f"path={folder}", "pretrained=True"))
    assert again["class_accuracy"] == history(folder)[-1]["class_accuracy"]


def test_process_0_alone_writes_and_speaks(together):
    folder, said = together
    assert {path.name for path in (folder / name(*SAME)).iterdir()} == {
        *(WEIGHTS, METRICS, CONFIG, CURVES, CONFUSION)
    }
    assert said.count("test accuracy: ") == 6  # of the runs that end


def test_the_others_wait_for_a_folder_that_takes_hours_to_decode(together):
    hours = int(re.search(r"0 waits (\d+):00:00", together[1])[1])
    assert hours >= 2


def test_a_signal_to_one_process_stops_all_and_one_process_goes_on(together, alone):
    folder, said = together
    overrides = (*SAME, "seed=2")
    line = "143 terminated: the same command goes on from step 2 of epoch 2 of 2"
    assert said.count(f"0 {line}") == 3 and said.count(f"1 {line}") == 2
    assert (folder / name(*overrides) / STATE).exists()
    resumed = alone(*overrides, save_dir=folder)
    assert losses(resumed) == pytest.approx(losses(alone(*overrides)), abs=1e-4)


def test_two_processes_go_on_with_a_run_of_one_and_four_with_a_run_of_two(together, alone):
    folder, said = together
    assert "3 0 done" in said
    for seed in ("seed=6", "seed=5"):
        resumed = losses(folder / name(*SAME, seed))
        assert resumed == pytest.approx(losses(alone(*SAME, seed)), abs=1e-4)


def test_a_batch_that_cannot_be_divided_is_one_line(together):
    for rank in (0, 1):
        assert f"{rank} 2 batch_size: got 7, expected a multiple of 2" in together[1]


def test_an_image_that_one_process_cannot_read_stops_both_with_the_state_saved(together, alone):
    folder, said = together
    for rank in (0, 1):
        line = "image.png cannot be read; the same command goes on from step 2 of epoch 1 of 2"
        assert f"{rank} 2 {line}" in said
    resumed = alone(*SAME, "seed=7", save_dir=folder)
    assert losses(resumed) == pytest.approx(losses(alone(*SAME, "seed=7")), abs=1e-4)


def test_after_the_kill_of_a_process_the_group_goes_on_from_the_last_state(together):
    folder, said = together
    assert "1 0 done, restarts: 1" in said
    left, right = (place / name(*KILLED) for place in (folder / "killed", folder))
    assert figures(left) == figures(right)


def test_batch_norm_of_one_process_is_torchs_own():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, 5, 5, requires_grad=True)
    ours, torchs = CPUSyncBatchNorm(3), nn.BatchNorm3d(3)
    for norm in (ours, torchs):
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    torchs.load_state_dict(ours.state_dict())
    weights = torch.randn_like(x)
    for _ in range(2):
        gradients = [
            torch.autograd.grad((norm(x) * weights).sum(), x)[0] for norm in (ours, torchs)
        ]
        torch.testing.assert_close(*gradients)
        torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_each_process_needs_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    for key, value in (("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="device: 4 processes .* 2 GPUs; start at most 2"):
        distributed.device_here(torch.device("cuda"))
    with pytest.raises(ConfigError, match="device: got cuda:1, expected cuda"):
        distributed.device_here(torch.device("cuda:1"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert distributed.device_here(torch.device("cuda")) == torch.device("cuda:3")
    assert distributed.device_here(torch.device("cpu")) == torch.device("cpu")
