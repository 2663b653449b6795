"""Training on a folder of images: its classes go into the weights, two folders never mix."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from g_selfatt import datasets
from g_selfatt.datasets import folder as folder_images
from g_selfatt.models import WEIGHTS, Weights, create_model, load_model
from training import command_line, settings, training_run
from training.errors import UserError
from training.run_folder import run_name


def overrides(folder):
    return "dataset=folder", f"data_dir={folder}", "image_size=16", "epochs=1"


def test_a_run_keeps_what_the_folder_told(make_folder, configure, run):
    folder = make_folder("slides")
    results = run(*overrides(folder))
    assert results["test_images"] == 4
    config = configure(*overrides(folder))
    assert run_name(config).startswith("slides-z2sa-local3-seed0-")
    (weights,) = (folder.parent / "saved").glob(f"*/{WEIGHTS}")
    kept = Weights.read(weights).pretrained_config
    assert (kept["classes"], kept["image_size"], kept["in_channels"]) == (("cell", "debris"), 16, 1)
    assert 0 < kept["mean"][0] < 1 and 0 < kept["std"][0] < 1
    again = run(f"path={weights.parent}", "pretrained=True")  # all else is in the folder
    assert again["test_correct"] == results["test_correct"]


def test_two_folders_of_the_same_classes_are_two_runs(make_folder, configure):
    first, second = (configure(*overrides(make_folder(name))) for name in ("monday", "tuesday"))
    assert run_name(first).partition("-")[0] == "monday"
    assert run_name(first).rpartition("-")[2] != run_name(second).rpartition("-")[2]


def test_a_run_does_not_go_on_with_other_images(make_folder, run, monkeypatch, tmp_path):
    folder = make_folder("slides")
    monkeypatch.chdir(tmp_path)
    call = [*overrides("slides")[:3], "epochs=2"]
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "test", lambda _: (_ for _ in ()).throw(SystemError))
        with pytest.raises(SystemError):
            run(*call)
    moved = (folder / "cell" / "3.png").rename(folder / "debris" / "cell-3.png")
    with pytest.raises(UserError, match="started on other images .16 train.* put them back"):
        run(*call)
    moved.rename(folder / "cell" / "3.png")
    elsewhere = tmp_path / "elsewhere" / "slides"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    monkeypatch.chdir(elsewhere.parent)  # the same words name a folder of the same images
    assert run(*call)["epochs"] == 2


def test_a_finished_run_is_not_taken_for_one_of_other_images(make_folder, run):
    folder = make_folder("slides")
    first = run(*overrides(folder))
    assert run(*overrides(folder))["test_correct"] == first["test_correct"]  # finished already
    (folder / "cell" / "extra.png").write_bytes((folder / "cell" / "1.png").read_bytes())
    with pytest.raises(UserError, match="is finished, but was trained on other images .*repeat"):
        run(*overrides(folder))
    assert run(*overrides(folder), "repeat=True")["test_images"] == 4


def test_a_test_image_that_cannot_be_read_is_found_before_the_first_epoch(
    make_folder, run, monkeypatch
):
    folder = make_folder("slides")
    monkeypatch.setattr(folder_images, "MEMORY", 0)
    test = datasets.load("folder", folder, limit=None, image_size=16).test
    Path(test.samples[-1][0]).write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be read .*: replace it$"):
        run(*overrides(folder))
    assert not (folder.parent / "saved").exists()


def test_a_finished_run_is_not_extended_with_other_images(make_folder, run):
    folder = make_folder("slides")
    call = [*overrides(folder)[:3], "scheduler=constant"]
    run(*call, "epochs=1")
    (folder / "cell" / "extra.png").write_bytes((folder / "cell" / "1.png").read_bytes())
    with pytest.raises(UserError, match="started on other images"):
        run(*call, "epochs=2", "extend=True")


def test_other_images_are_prepared_as_those_of_the_training(make_folder, configure, run, caplog):
    run(*overrides(make_folder("monday")))
    darker = make_folder("tuesday")
    for file in darker.glob("*/*.png"):  # their own mean and deviation would make up for it
        Image.open(file).point(lambda value: value // 2).save(file)
    (weights,) = (darker.parent / "saved").glob(f"*/{WEIGHTS}")
    loss = run(f"path={weights.parent}", "pretrained=True", f"data_dir={darker}")["test_loss"]
    assert "other pixels" in caplog.text
    network = load_model(Weights.read(weights)).eval()
    kept, test = (
        network.pretrained_config,
        datasets.load("folder", darker, limit=None, image_size=16).test,
    )
    x = (test.images / 255 - torch.tensor(kept["mean"])) / torch.tensor(kept["std"])
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(network(x), test.labels).item()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_weights_are_not_evaluated_on_other_classes(make_folder, run):
    run(*overrides(make_folder("monday")))
    home = make_folder("tuesday")
    (home / "cell").rename(home / "artefact")
    (weights,) = (home.parent / "saved").glob(f"*/{WEIGHTS}")
    with pytest.raises(UserError, match="tells cell, debris apart; .* are artefact, debris"):
        run(f"path={weights.parent}", "pretrained=True", f"data_dir={home}")


def test_a_folder_with_a_slash_is_the_same_run(make_folder, configure):
    folder = make_folder("slides")
    names = {run_name(configure(*overrides(f"{folder}{end}"))) for end in ("", "/", "/./")}
    assert len(names) == 1


@pytest.mark.parametrize("name", ["p4convnet", "p4coatnet"])
@pytest.mark.parametrize("image_size", [16, 64, 224])
def test_the_network_is_that_of_images_of_this_size(name, image_size, tmp_path):
    given = [f"--config.{key}" for key in ("dataset=folder", f"data_dir={tmp_path}")]
    given += [f"--config.model={name}", f"--config.image_size={image_size}"]
    config = settings.resolve(command_line.parse(given))
    facts = {"image_size": image_size, "in_channels": 3, "num_classes": 2}
    expected = create_model(name, None, **facts).network_record["arguments"]
    stages = list(config.channels_per_stage)
    assert stages == expected["channels_per_stage"] and len(stages) == {16: 1, 64: 3}.get(
        image_size, 5
    )
    assert create_model(name, "folder", **facts).network_record["arguments"] == expected
