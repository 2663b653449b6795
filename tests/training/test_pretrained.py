"""Trained weights, found by their configuration: the same numbers to the bit, or one clear line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from small_runs import folder_of

import training
from g_selfatt import datasets
from g_selfatt.models import list_pretrained, read_metadata
from training import command_line, settings, training_run
from training.errors import ConfigError, WeightsError
from training.run_folder import METRICS, STATE, WEIGHTS, run_name

ONE = "epochs=1"  # one epoch is enough to have weights


def weights_of(config) -> Path:
    return folder_of(config) / WEIGHTS


def test_evaluation_gives_the_number_of_training_to_the_bit(configure, run, capsys, monkeypatch):
    trained = run(ONE)
    before = weights_of(configure(ONE)).read_bytes()
    monkeypatch.setattr(training_run.Trainer, "_step", lambda *_: pytest.fail("it trained"))
    evaluated = run(ONE, "pretrained=True")
    assert evaluated == trained  # the loss too, to the last bit
    assert weights_of(configure(ONE)).read_bytes() == before
    assert len(list(Path(configure().save_dir).iterdir())) == 1
    figure = f"{trained['test_accuracy']:.2%} ({trained['test_correct']} of 24 images)"
    printed = capsys.readouterr().out
    assert f"test accuracy: {figure}; recorded when they were trained: {figure}" in printed


def test_evaluation_does_not_need_tracking_or_the_device_of_training(run):
    trained = run(ONE)
    assert run(ONE, "pretrained=True", "wandb=online", "num_workers=0") == trained


def test_only_exactly_that_configuration_will_do(configure, run):
    run(ONE)
    with pytest.raises(WeightsError) as caught:
        run(ONE, "pretrained=True", "seed=1")
    message = str(caught.value)
    assert f"looked for {weights_of(configure(ONE, 'seed=1'))}" in message
    assert f"others under {configure().save_dir}: {weights_of(configure(ONE))}; " in message
    assert caught.value.exit_code == 2


def test_weights_that_meet_other_pixels_are_said_to(configure, run, caplog, monkeypatch):
    run(ONE)
    run(ONE, "pretrained=True")
    assert "other pixels" not in caplog.text
    other = replace(datasets.INFO["rotDigits"], provenance="digits drawn by hand")
    monkeypatch.setitem(datasets.INFO, "rotDigits", other)
    run(ONE, "pretrained=True")
    assert "other pixels: these weights were trained on UCI" in caplog.text
    assert "the images here are digits drawn by hand" in caplog.text


def test_with_no_weights_at_all_the_line_says_none(configure, run):
    with pytest.raises(
        WeightsError, match=r"others under .*saved: none; shipped with other keys: rotDigits-z2sa-"
    ):
        run("pretrained=True")
    assert not Path(configure().save_dir).exists()


def test_of_a_repeated_run_the_newest_is_taken_and_an_unfinished_one_is_not(configure, run, capsys):
    run(ONE), run(ONE, "repeat=True")
    third = Path(configure().save_dir, run_name(configure(ONE)) + "-3")
    third.mkdir()
    (third / STATE).touch()
    capsys.readouterr()
    run(ONE, "pretrained=True")
    assert f"{run_name(configure(ONE))}-2/{WEIGHTS}" in capsys.readouterr().out
    for keys in ((ONE, "pretrained=True", f"path={third}"), (ONE, f"weights={third}")):
        with pytest.raises(WeightsError, match="holds a run that is not finished; the command"):
            run(*keys)


def test_weights_under_the_name_of_another_configuration_are_not_taken(configure, run):
    run(ONE)
    folder = weights_of(configure(ONE)).parent
    folder.rename(folder.with_name(run_name(configure(ONE, "seed=1"))))
    with pytest.raises(WeightsError, match="no weights of this configuration"):
        run(ONE, "pretrained=True", "seed=1")


def test_damaged_weights_are_refused_in_one_line(configure, run):
    run(ONE)
    path = weights_of(configure(ONE))
    tensors, metadata = load_file(path), read_metadata(path)
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="sha256") as caught:
        run(ONE, "pretrained=True")
    assert "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        run(ONE, "pretrained=True")


def test_a_path_is_all_that_evaluating_a_run_needs(run, tmp_path):
    path = f"path={tmp_path / 'mine'}"
    trained = run(ONE, path, "dropout_att=0.3", "model=p4sa")
    alone = command_line.parse([f"--config.{path}", "--config.pretrained=True"])
    config = settings.resolve(alone)
    assert (config.model, config.patch_size, config.dropout_att) == ("p4sa", 3, 0.3)
    assert training.run(config) == trained
    assert run(path, "pretrained=True", "model=p4sa", "lr=0.5", "epochs=7") == trained


def test_what_contradicts_the_run_in_a_path_is_refused(run, tmp_path):
    path = f"path={tmp_path / 'mine'}"
    run(ONE, path)
    with pytest.raises(ConfigError, match=r"^patch_size: got 5, and the run in .* has 3; leave it"):
        run(path, "pretrained=True", "patch_size=5")
    with pytest.raises(WeightsError, match=r"looked for .*absent/weights\.safetensors"):
        run(ONE, f"path={tmp_path / 'absent'}", "pretrained=True")


def test_a_tuple_that_the_run_in_a_path_has_too_is_no_contradiction():
    (weights,) = [w for w in list_pretrained() if w.path.parent.name.startswith("rotDigits-p4conv")]
    there = ["--config.model=p4convnet", f"--config.path={weights.path.parent}"]
    there.append("--config.pretrained=True")
    same, other = (
        command_line.parse([*there, f"--config.attention_per_stage={tuple_}"])
        for tuple_ in ("('Off','Off')", "('Off','Local')")
    )
    assert settings.resolve(same).attention_per_stage == ("Off", "Off")
    with pytest.raises(ConfigError, match=r"^attention_per_stage: got \('Off', 'Local'\), and the"):
        settings.resolve(other)


def test_train_given_too_fine_tunes_into_a_folder_of_its_own(configure, run, started):
    trained = run(ONE)
    source = weights_of(configure(ONE))
    run(ONE, "pretrained=True", "train=True")
    assert all((started[1][k] == v).all() for k, v in load_file(source).items())
    tuned = source.parent.with_name(source.parent.name + "-finetuned") / WEIGHTS
    digest = read_metadata(source)["sha256"]
    assert read_metadata(tuned)["initial_weights"] == f"{source}, sha256 {digest}"
    assert read_metadata(source)["initial_weights"] == ""
    assert run(ONE, "pretrained=True") == trained  # the tuned ones are not mistaken for them
    last = json.loads((tuned.parent / METRICS).read_text().splitlines()[-1])
    assert run(ONE, "pretrained=True", f"path={tuned.parent}") == last


def test_an_interrupted_fine_tuning_goes_on_from_itself(run, interrupt, configure, monkeypatch):
    two = "epochs=2"
    run(two)
    monkeypatch.setattr(training_run, "git_revision", lambda: "later")
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "git_revision", lambda: "first")
        interrupt(two, "pretrained=True", "train=True")
    resumed = run(two, "pretrained=True", "train=True")
    whole = run(two, "pretrained=True", "train=True", "repeat=True")
    assert resumed["test_loss"] == whole["test_loss"]
    folders = {path.name for path in Path(configure().save_dir).iterdir()}
    name = run_name(configure(two))
    assert folders == {name, f"{name}-finetuned", f"{name}-finetuned-2"}
    tuned = Path(configure().save_dir, f"{name}-finetuned", WEIGHTS)
    assert read_metadata(tuned)["git_revision"] == "first, later"
