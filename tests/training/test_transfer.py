"""Training from the weights of another run: other data, other classes, or the last layer only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_runs import folder_of

import main
from g_selfatt import models
from g_selfatt.models import WEIGHTS, Weights
from training import training_run
from training.errors import ConfigError, UserError, WeightsError
from training.run_folder import CONFIG, run_name

SOURCE = ("epochs=1", "norm_type=BatchNorm", "dropout_att=0.2")


@pytest.fixture
def source(run, configure):
    """The folder of a run on rotDigits: 10 classes."""
    run(*SOURCE)
    return folder_of(configure(*SOURCE))


@pytest.fixture
def to_folder(make_folder, source):
    """The overrides that train on a folder of two classes from the weights of that run."""
    folder = make_folder("slides")
    return "dataset=folder", f"data_dir={folder}", "image_size=16", f"weights={source}", "epochs=1"


def new_folder(source):
    (folder,) = (path for path in source.parent.iterdir() if path != source)
    return folder


def differing(here, there):
    return {k for k, v in here.items() if v.shape != there[k].shape or not torch.equal(v, there[k])}


def test_other_classes_have_a_new_last_layer(run, to_folder, source, started, caplog):
    caplog.set_level("INFO")
    figures = run(*to_folder)
    donor, (start,) = load_file(source / WEIGHTS), started
    (last,) = differing(start, donor)
    assert (len(start[last]), len(donor[last])) == (2, 10)
    assert f"starting from {source.name}: z2sa on rotDigits" in caplog.text
    assert "the last layer is new: 2 classes of folder in place of 10 of rotDigits" in caplog.text
    kept = Weights.read(new_folder(source))
    assert kept.config["norm_type"] == "BatchNorm" and kept.config["dropout_att"] == 0.2
    assert kept.network["arguments"]["num_classes"] == 2 and figures["test_images"] == 4
    assert kept.metadata["initial_weights"].startswith(str(source / WEIGHTS))


def test_folders_of_digits_are_the_classes_of_digits(run, make_folder, source, started, caplog):
    caplog.set_level("INFO")
    folder = make_folder("digits", count=5, classes=tuple("0123456789"))
    facts = f"data_dir={folder}", "image_size=16", f"weights={source}", "epochs=1"
    run("dataset=folder", *facts)
    assert not differing(started[-1], load_file(source / WEIGHTS))
    assert "the last layer is new" not in caplog.text


def test_a_network_with_other_keys_than_the_default_s(make_folder, capsys):
    weights = models.find_pretrained("p4convnet", "rotDigits")[0].name
    folder = f"--config.data_dir={make_folder('slides')}"
    line = ["--config.dataset=folder", folder, "--config.image_size=16", "--config.smoke=True"]
    assert main.main([*line, f"--config.weights={weights}"]) == 0
    assert main.main([*line, f"--config.weights={weights}", "--config.locality_init=0.5"]) == 2
    assert "locality_init: no key of model=p4convnet" in capsys.readouterr().err


def test_the_same_classes_keep_the_last_layer(run, source, started, caplog):
    caplog.set_level("INFO")
    run(f"weights={source}", "epochs=1", "lr=0.001")
    assert not differing(started[0], load_file(source / WEIGHTS))
    assert "the last layer is new" not in caplog.text


def test_frozen_all_but_the_last_layer_stay_as_they_are(run, to_folder, source, started):
    run(*to_folder, "freeze=backbone", "epochs=2")
    last = list(started[0])[-1]
    assert differing(load_file(new_folder(source) / WEIGHTS), started[0]) == {last}
    assert any("running_mean" in name for name in started[0])


def test_unfrozen_all_layers_and_statistics_are_trained(run, to_folder, source, started):
    run(*to_folder)
    changed = differing(load_file(new_folder(source) / WEIGHTS), started[0])
    assert any("running_mean" in name for name in changed) and len(changed) > 10


def test_weights_and_freezing_are_part_of_a_run(configure, to_folder, source, tmp_path):
    plain = configure(*to_folder[:3], "epochs=1")
    from_weights, frozen = configure(*to_folder), configure(*to_folder, "freeze=backbone")
    assert len({run_name(config) for config in (plain, from_weights, frozen)}) == 3
    elsewhere = shutil.copytree(source, tmp_path / "moved" / source.name)
    assert run_name(configure(*to_folder, f"weights={elsewhere}")) == run_name(from_weights)


def test_the_names_of_runs_without_them_stay(configure):
    assert not {"weights", "freeze", "spatial_pooling"} & set(training_run.identity(configure()))


def test_the_same_command_again_says_that_it_is_finished(run, to_folder, source, capsys):
    trained = run(*to_folder)
    assert run(*to_folder) == trained
    assert "finished already" in capsys.readouterr().out
    assert run(*to_folder, "pretrained=True") == trained  # evaluates it
    assert len(list(source.parent.iterdir())) == 2


def test_it_is_evaluated_when_its_source_is_gone(run, to_folder, source):
    trained = run(*to_folder)
    folder = new_folder(source)
    shutil.rmtree(source)
    assert run(f"path={folder}", "pretrained=True") == trained


def test_interrupted_it_goes_on_to_the_same_numbers(run, interrupt, to_folder):
    overrides = (*to_folder, "epochs=2", "freeze=backbone")
    interrupt(*overrides)
    resumed = run(*overrides)
    assert run(*overrides, "repeat=True")["test_loss"] == resumed["test_loss"]


def test_it_does_not_go_on_from_other_weights(run, interrupt, to_folder, source):
    interrupt(*to_folder, "epochs=2")
    folder = new_folder(source)
    shutil.rmtree(source)
    run(*SOURCE, "seed=1", f"path={source}")
    with pytest.raises(UserError, match=r"was started from other weights .* delete its state"):
        run(*to_folder, "epochs=2")
    assert (folder / CONFIG).exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("weights=nowhere", "^weights: nowhere is no run folder and no shipped weights; shipped"),
        ("patch_size=5", "^patch_size: got 5, and rotDigits-z2sa-.* has 3; leave it out$"),
        ("model=p4msa", "^model: got 'p4msa', and rotDigits-z2sa-.* has 'z2sa'; leave it out$"),
        ("pretrained=True train=True", "^weights: training starts from these, and pretrained"),
        ("weights= freeze=backbone", "^freeze: backbone needs trained weights"),
    ],
)
def test_mistakes_are_one_line(configure, to_folder, override, message):
    with pytest.raises((ConfigError, WeightsError), match=message):
        configure(*to_folder, *override.split())


def test_images_of_other_channels_are_refused(run, to_folder):
    folder = Path(to_folder[1].removeprefix("data_dir="))
    from PIL import Image

    Image.new("RGB", (20, 16)).save(folder / "cell" / "colour.png")
    with pytest.raises(ConfigError, match=r"takes images of 1 channel, those of folder have 3 ch"):
        run(*to_folder)


def test_damaged_weights_are_refused(run, to_folder, source):
    path = source / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(WeightsError, match="sha256"):
        run(*to_folder)
