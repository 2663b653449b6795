"""The weights that come with the repository give the figures that README prints."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

import main
import models
from models.shipped import find_shipped

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
RESULTS = (REPOSITORY / "RESULTS.md").read_text()
SHIPPED = subprocess.run(
    ["git", "ls-files", "saved/*.safetensors"], cwd=REPOSITORY, capture_output=True, text=True
).stdout.split()


def test_what_is_shipped():
    found = {tuple(path.split("/")[1].split("-")[:2]) for path in SHIPPED}
    assert found == {
        ("rotDigits", "z2sa"),
        ("rotDigits", "p4sa"),
        ("rotMNIST", "z2sa"),
        ("rotMNIST", "p4sa"),
        ("rotMNIST", "z2cnn"),
    }


@pytest.mark.parametrize("name", ["z2sa", "p4sa"])
def test_evaluating_them_prints_the_figure_of_readme(name, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    path = f"--config.path={Path(next(p for p in SHIPPED if f'rotDigits-{name}-' in p)).parent}"
    assert main.main(["--config.pretrained=True", f"--config.model={name}", path]) == 0
    figure = re.search(r"test accuracy: ([\d.]+)% \((\d+) of 300", capsys.readouterr().out)
    row = re.search(rf"\| {name} \| ([\d.]+) %", README)
    assert float(figure[1]) == float(row[1])


@pytest.mark.parametrize("path", SHIPPED)
def test_their_metadata_says_what_made_them(path):
    metadata = models.read_metadata(REPOSITORY / path)
    assert re.fullmatch(r"[0-9a-f]{40}", metadata["git_revision"])  # of a clean checkout
    assert json.loads(metadata["config"])["seed"] == 0
    source = "regenerated from MNIST" if "rotMNIST" in path else "scikit-learn"
    assert source in metadata["data"]


@pytest.mark.parametrize("path", SHIPPED)
def test_results_has_their_figures(path):
    metadata = models.read_metadata(REPOSITORY / path)
    results, config = json.loads(metadata["results"]), json.loads(metadata["config"])
    row = re.search(
        rf"^\| {config['dataset']} \| {config['model']} \| 0 "
        rf"\| ({results['epochs']})(?:, fast)? \| (\d+) \| ([\d.]+) % "
        rf"\| ([\d.]+) % \(([\d,]+) of ([\d,]+)\)",
        RESULTS,
        re.MULTILINE,
    )
    assert (int(row[1]), int(row[2])) == (results["epochs"], results["best_epoch"])
    assert float(row[3]) == pytest.approx(100 * results["validation_accuracy"], abs=0.005)
    assert float(row[4]) == pytest.approx(100 * results["test_accuracy"], abs=0.005)
    right, images = (int(row[i].replace(",", "")) for i in (5, 6))
    assert (right, images) == (results["test_correct"], results["test_images"])


@pytest.mark.parametrize(
    ("name", "parameters"), [("z2sa", 44_368), ("p4sa", 44_428), ("z2cnn", 21_620)]
)
def test_the_networks_of_rotmnist_load(name, parameters):
    """Evaluating them takes the data; this takes only what is shipped."""
    model = models.create_model(name, "rotMNIST", pretrained=True).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    with torch.no_grad():
        assert model(torch.rand(2, 1, 28, 28)).isfinite().all()


def test_they_are_found_by_name_of_the_network():
    model = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 1, 12, 12)).shape == (2, 10)
    with pytest.raises(FileNotFoundError, match=r"attention_type=Global.*; there are: rotDigits-"):
        models.create_model("p4sa", "rotDigits", attention_type="Global", pretrained=True)


def test_a_folder_without_weights_is_said_to_be_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are: none"):
        find_shipped("z2cnn", "rotMNIST", folder=tmp_path)
