"""Whole runs, small but real: what they leave, how they go on, what they refuse to overwrite."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import folder_of, history

from g_selfatt import datasets, models
from g_selfatt.backends import BACKENDS
from g_selfatt.models import load_weights, read_metadata
from training import training_run
from training.errors import ExpectedStop, NonFiniteLoss
from training.evaluation import evaluate
from training.machine import processor
from training.network import create_network
from training.precision import Precision
from training.run_folder import (
    CONFIG,
    CONFUSION,
    CURVES,
    METRICS,
    STATE,
    WEIGHTS,
    identity,
    run_name,
)


def tensors(path: Path, config) -> dict[str, torch.Tensor]:
    network = create_network(config, datasets.INFO[config.dataset], torch.device("cpu"))
    load_weights(path, network)
    return network.state_dict()


@pytest.fixture
def keep_epoch(monkeypatch):
    """Decide which epoch is the best, whatever the numbers are."""
    keep = training_run.Trainer._keep_if_best

    def keep_epoch(epoch):
        monkeypatch.setattr(
            training_run.Trainer,
            "_keep_if_best",
            lambda trainer, score: trainer.epoch + 1 == epoch and keep(trainer, score),
        )

    return keep_epoch


def test_a_run_leaves_weights_metrics_config_and_curves(configure, run, capsys):
    config = configure()
    results = run()
    folder = folder_of(config)
    left = {WEIGHTS, METRICS, CONFIG, CURVES, CONFUSION}
    assert {path.name for path in folder.iterdir()} == left

    *epochs, last = map(json.loads, (folder / METRICS).read_text().splitlines())
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert set(epochs[0]) >= {"train_loss", "train_accuracy", "validation_loss"}
    assert set(epochs[0]) >= {"validation_accuracy", "lr", "seconds", "skipped_steps"}
    assert last == results
    assert last["test_correct"] / last["test_images"] == last["test_accuracy"]
    assert set(last["class_accuracy"]) == set("0123456789")
    assert (last["selected_on"], last["test_images"]) == ("validation", 24)
    best = max(epochs, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert last["best_epoch"] == best["epoch"]

    assert json.loads((folder / CONFIG).read_text()) == json.loads(json.dumps(config.to_dict()))
    metadata = read_metadata(folder / WEIGHTS)
    assert json.loads(metadata["results"]) == results
    assert json.loads(metadata["config"])["lr"] == config.lr
    assert metadata["seed"] == "0"
    assert "digits" in metadata["data"]
    assert metadata["torch"] == torch.__version__
    assert metadata["machine"] == f"{processor()}, 1 thread, amp off"
    assert set(metadata) >= {"git_revision", "finished", "sha256"}
    statistics = ("running_mean", "running_var", "num_batches_tracked")  # of BatchNorm
    assert results["parameters"] == sum(
        tensor.numel()
        for name, tensor in tensors(folder / WEIGHTS, config).items()
        if not name.endswith(statistics)
    )
    printed = capsys.readouterr().out
    summary = printed.splitlines()
    assert len(summary) == 6
    assert summary[0].startswith(f"{config.model} on {config.dataset}, seed ")
    assert summary[3].startswith("time: ") and summary[-1].startswith("next: ")
    assert f"{results['test_correct']} of 24 images" in printed
    assert str(folder / WEIGHTS) in printed


def test_repeated_it_trains_the_same_numbers_beside_the_first(configure, run):
    config = configure("epochs=1")
    first, second = run("epochs=1"), run("epochs=1", "repeat=True")
    again = folder_of(config).with_name(run_name(config) + "-2")
    before = tensors(folder_of(config) / WEIGHTS, config)
    after = tensors(again / WEIGHTS, config)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert first["test_loss"] == second["test_loss"]
    other = run("epochs=1", "seed=1")
    assert other["test_loss"] != first["test_loss"]


def test_an_interrupted_run_goes_on_to_the_same_bits(
    configure, run, interrupt, keep_epoch, tmp_path, caplog
):
    overrides = ("dropout_att=0.2", "augment=True", "scheduler=one_cycle")
    keep_epoch(3)  # so that the weights compared were trained after the interruption
    config = configure(*overrides)
    whole = run(*overrides, f"save_dir={tmp_path / 'whole'}")

    stop = interrupt(*overrides)
    assert "the same command goes on from epoch 2 of 3" in str(stop) and stop.exit_code == 130
    folder = folder_of(config)
    assert {path.name for path in folder.iterdir()} >= {STATE, CONFIG}
    assert not (folder / WEIGHTS).exists()

    torch.rand(7)  # the generators are elsewhere by now
    with caplog.at_level("INFO"):
        resumed = run(*overrides)
    assert f"going on after epoch 1 of the interrupted run in {folder}" in caplog.text
    elsewhere = tmp_path / "whole" / run_name(config)
    left, right = (tensors(f / WEIGHTS, config) for f in (folder, elsewhere))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert history(folder) == history(elsewhere)
    assert resumed["test_loss"] == whole["test_loss"]
    assert not (folder / STATE).exists()


def test_the_weights_kept_are_those_of_the_best_epoch(configure, run, keep_epoch):
    keep_epoch(2)
    config = configure()
    assert run()["best_epoch"] == 2
    splits = datasets.load(config.dataset, eval_protocol="held_out", limit=None)
    batches = datasets.make_loader(
        splits.validation, splits.info, 24, device=torch.device("cpu"), shuffle=False
    )
    network = create_network(config, splits.info, torch.device("cpu"))
    load_weights(folder_of(config) / WEIGHTS, network)
    score = evaluate(network, batches, Precision("off", torch.device("cpu"), "constant"))
    assert score.loss == history(folder_of(config))[1]["validation_loss"]


def test_the_seed_orders_the_images_and_augment_changes_them(run, monkeypatch):
    seen: list = []

    def spy(trainer, x, y):
        seen.append((x, y))
        raise NonFiniteLoss

    monkeypatch.setattr(training_run.Trainer, "_step", spy)
    for overrides in ((), ("seed=1",), ("augment=True",)):
        with pytest.raises(NonFiniteLoss):
            run(*overrides)
    (x, y), (_, y_of_another_seed), (x_augmented, y_augmented) = seen
    assert not torch.equal(y, y_of_another_seed)
    assert torch.equal(y, y_augmented)
    assert not torch.equal(x, x_augmented)


def test_a_run_killed_between_its_last_epoch_and_its_end_only_ends(run, configure, monkeypatch):
    whole = run("epochs=1", "seed=5")
    with monkeypatch.context() as patch:
        patch.setattr(models, "save_weights", lambda *_: (_ for _ in ()).throw(SystemError))
        with pytest.raises(SystemError):
            run("epochs=1", "seed=5", "repeat=True")
    monkeypatch.setattr(training_run.Trainer, "_step", lambda *_: pytest.fail("it trained again"))
    again = run("epochs=1", "seed=5", "repeat=True")
    assert again["test_loss"] == whole["test_loss"]


def test_nan_stops_the_run_and_keeps_the_last_good_epoch(configure, run, monkeypatch):
    config = configure()
    step = training_run.Trainer._step

    def poisoned(trainer, x, y):
        if trainer.epoch == 1:
            next(trainer.model.parameters()).data.fill_(float("nan"))
        return step(trainer, x, y)

    monkeypatch.setattr(training_run.Trainer, "_step", poisoned)
    with pytest.raises(NonFiniteLoss) as caught:
        run()
    folder = folder_of(config)
    assert "step 1 of epoch 2 (step 4 of the run)" in str(caught.value)
    assert f"epochs kept in {folder}: 1" in str(caught.value)
    kept = training_run.load_state(folder, identity(config))["trainer"]
    assert len(kept["history"]) == 1
    assert all(torch.isfinite(t).all() for t in kept["model"].values())
    assert not (folder / WEIGHTS).exists()


def test_the_paper_protocol_picks_on_the_test_images_and_says_so(run, caplog, capsys):
    results = run("eval_protocol=paper", "epochs=2")
    assert "picked on the test images" in caplog.text
    assert "the best on the test images" in capsys.readouterr().out
    assert results["selected_on"] == "test"
    assert results["validation_accuracy"] == results["test_accuracy"]


def test_a_smoke_run_takes_one_step_and_leaves_nothing(run, tmp_path, capsys):
    results = run("smoke=True", "epochs=50", f"path={tmp_path / 'mine'}")
    assert (results["epochs"], results["test_images"]) == (1, 2)
    assert not (tmp_path / "saved").exists() and not (tmp_path / "mine").exists()
    assert "nothing is kept" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_gives_one_line(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExpectedStop, match="save_dir: cannot make .*file"):
        run(f"save_dir={tmp_path / 'file'}", "epochs=1")


def test_a_backend_that_cannot_run_is_refused_before_the_first_epoch(run, tmp_path, monkeypatch):
    picky = replace(BACKENDS["reference"], name="picky", can_run=lambda inputs: "too warm")
    monkeypatch.setitem(BACKENDS, "picky", picky)
    with pytest.raises(ExpectedStop, match="^backend: .*picky.*too warm") as caught:
        run("backend=picky")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "saved").exists()


def test_missing_data_give_one_line_and_leave_no_folder(run, tmp_path):
    with pytest.raises(ExpectedStop, match="PCam") as caught:
        run("dataset=PCam", f"data_dir={tmp_path / 'nothing'}")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "saved").exists()
