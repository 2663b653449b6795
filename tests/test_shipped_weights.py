"""The weights that come with the repository give the figures that are printed."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import main
from g_selfatt import models
from runs.results import read
from training import command_line, pretrained, settings

REPOSITORY = Path(__file__).parents[1]
SHIPPED = subprocess.run(
    ["git", "ls-files", "saved/*.safetensors"], cwd=REPOSITORY, capture_output=True, text=True
).stdout.split()


def test_what_is_shipped():
    found = {tuple(path.split("/")[1].split("-")[:2]) for path in SHIPPED}
    assert found == {
        ("rotDigits", "z2sa"),
        ("rotDigits", "p4sa"),
        ("rotDigits", "p4convnet"),
        ("rotDigits", "p4coatnet"),
        ("rotMNIST", "z2sa"),
        ("rotMNIST", "p4sa"),
        ("rotMNIST", "z2cnn"),
        ("rotMNIST", "p4convnet"),
        ("rotMNIST", "p8convnet"),
        ("rotMNIST", "p4coatnet"),
        ("CIFAR10", "mz2convnet"),
        ("CIFAR10", "mz2coatnet"),
    }


@pytest.mark.parametrize("name", ["z2sa", "p4sa", "p4convnet", "p4coatnet"])
def test_evaluating_them_prints_the_figure_of_the_results(name, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    path = f"--config.path={Path(next(p for p in SHIPPED if f'rotDigits-{name}-' in p)).parent}"
    assert main.main(["--config.pretrained=True", f"--config.model={name}", path]) == 0
    figure = re.search(r"test accuracy: [\d.]+% \((\d+) of 300", capsys.readouterr().out)
    assert int(figure[1]) == read(f"rotdigits_{name}")[0]["test_correct"]


def test_they_come_before_a_run_of_ones_own(tmp_path, monkeypatch, caplog, capsys):
    """A run of the same configuration is there, and said to fit too."""
    monkeypatch.chdir(REPOSITORY)
    shipped = models.find_pretrained("p4sa", "rotDigits")[0]
    shutil.copytree(shipped.path.parent, tmp_path / "mine")
    caplog.set_level("INFO")
    arguments = ["--config.pretrained=True", f"--config.save_dir={tmp_path}"]
    assert main.main(arguments) == 0
    assert f"weights: {shipped.path}, trained on" in capsys.readouterr().out
    assert f"--config.path={tmp_path / 'mine'}" in caplog.text
    assert main.main([*arguments, "--config.seed=1"]) == 2
    error = capsys.readouterr().err
    assert "no weights of this configuration" in error
    there = shlex.quote(str(shipped.path.parent))
    assert f"shipped with other keys: {shipped}; --config.path={there}" in error
    assert "seed is 0 there and 1 here" in error


def test_one_flag_chooses_those_that_another_recipe_trained(caplog):
    caplog.set_level("INFO")
    arguments = ["--config.dataset=rotMNIST", "--config.pretrained=True"]
    config = settings.resolve(command_line.parse(arguments))
    assert pretrained.find(config) == models.find_pretrained("p4sa", "rotMNIST")[0].path
    best = max(models.list_pretrained("rotMNIST-p4sa-*"), key=lambda weights: weights.test_accuracy)
    line = f"with other keys: {best}; --config.path={best.path.parent}"
    assert line in caplog.messages
    six = settings.resolve(
        command_line.parse([*arguments, "--config.model=z2sa", "--config.epochs=6"])
    )
    assert pretrained.find(six) == models.find_pretrained("z2sa", "rotMNIST")[1].path


@pytest.mark.parametrize("path", SHIPPED)
def test_their_metadata_says_what_made_them(path):
    metadata = models.read_metadata(REPOSITORY / path)
    assert re.fullmatch(r"[0-9a-f]{40}", metadata["git_revision"])  # of a clean checkout
    assert json.loads(metadata["config"])["seed"] == 0
    sources = {
        "rotDigits": "scikit-learn",
        "rotMNIST": "regenerated from MNIST",
        "CIFAR10": "folders of JPEG files",
    }
    assert sources[path.split("/")[1].split("-")[0]] in metadata["data"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("z2sa", 44_368), ("p4sa", 44_428), ("z2cnn", 21_620), ("p4convnet", 96_598)],
)
def test_the_networks_of_rotmnist_load(name, parameters):
    """Evaluating them takes the data; this takes only what is shipped."""
    model = models.create_model(name, "rotMNIST", pretrained=True).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    with torch.no_grad():
        assert model(torch.rand(2, 1, 28, 28)).isfinite().all()


def test_the_network_of_cifar10_loads():
    model = models.create_model("mz2convnet", "CIFAR10", pretrained=True).eval()
    assert sum(p.numel() for p in model.parameters()) == 284_074
    with torch.no_grad():
        assert model(torch.rand(2, 3, 32, 32)).isfinite().all()


def test_those_of_other_arguments_are_named():
    with pytest.raises(FileNotFoundError, match="by their full name: rotMNIST-p8convnet-seed0-"):
        models.create_model("p8convnet", "rotMNIST", pretrained=True)


def test_they_are_found_by_name_of_the_network():
    model = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 1, 12, 12)).shape == (2, 10)
    with pytest.raises(
        FileNotFoundError, match=r"attention_type=Global.*; with other arguments, .*: rotDigits-"
    ):
        models.create_model("p4sa", "rotDigits", attention_type="Global", pretrained=True)


def test_by_their_full_name_another_data_set_is_refused():
    name = models.find_pretrained("p4sa", "rotDigits")[0].name
    for dataset in ({}, {"dataset": None}, {"dataset": "ROTdigits"}):
        assert models.create_model(name, **dataset, pretrained=True).num_classes == 10
    with pytest.raises(ValueError, match="trained on rotDigits, got dataset='CIFAR10': leave it"):
        models.create_model(name, "CIFAR10", pretrained=True)
    with pytest.raises(ValueError, match="are trained weights: give pretrained=True"):
        models.create_model(name)
    with pytest.raises(FileNotFoundError, match=rf"create_model\('{name}', pretrained=True\)"):
        models.load_model(name)
    with pytest.raises(ValueError, match="needs the data set that the weights were trained on"):
        models.create_model("p4sa", None, pretrained=True)


def test_every_line_of_the_list_is_a_folder_that_git_has_and_the_other_way_round():
    listed = [str(w.path.relative_to(REPOSITORY)) for w in models.list_pretrained()]
    assert sorted(listed) == sorted(SHIPPED)


def test_of_two_that_fit_the_first_line_is_taken():
    first, second = models.find_pretrained("z2sa", "rotMNIST")
    assert first.test_accuracy > second.test_accuracy
    assert models.create_model("z2sa", pretrained=True).pretrained_config["name"] == first.name


def test_they_bring_what_their_images_need():
    assert models.create_model("rotDigits-p4sa-local5-seed0-0a670760", pretrained=True).group.name
    config = models.create_model("P4SA", "rotdigits", pretrained=True).pretrained_config
    assert (config["image_size"], config["in_channels"], config["num_classes"]) == (12, 1, 10)
    assert (config["mean"], config["std"]) == ((0.1733,), (0.3009,))
    assert config["classes"] == tuple("0123456789")
    assert config["provenance"].startswith("UCI handwritten digits")


def test_dropout_may_differ_and_the_window_may_not():
    model = models.create_model("p4sa", "rotDigits", pretrained=True, value_dropout_rate=0.5)
    assert 0.5 in {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    with pytest.raises(FileNotFoundError, match="patch_size=7"):
        models.create_model("p4sa", "rotDigits", pretrained=True, patch_size=7)


def test_without_a_list_nothing_is_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(models.weights, "SAVED", tmp_path)
    (tmp_path / "shipped.txt").write_text("# nothing yet\n")
    with pytest.raises(FileNotFoundError, match="there are: none"):
        models.create_model("z2cnn", "rotMNIST", pretrained=True)
