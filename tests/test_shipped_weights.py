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
SHIPPED = subprocess.run(
    ["git", "ls-files", "saved/*.safetensors"], cwd=REPOSITORY, capture_output=True, text=True
).stdout.split()


def test_both_networks_of_rotdigits_are_shipped():
    found = {re.search(r"rotDigits-(\w+)-", path)[1] for path in SHIPPED}
    assert found == {"z2sa", "p4sa"}


@pytest.mark.parametrize("name", ["z2sa", "p4sa"])
def test_evaluating_them_prints_the_figure_of_readme(name, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    path = f"--config.path={Path(next(p for p in SHIPPED if f'-{name}-' in p)).parent}"
    assert main.main(["--config.pretrained=True", f"--config.model={name}", path]) == 0
    figure = re.search(r"test accuracy: ([\d.]+)% \((\d+) of 300", capsys.readouterr().out)
    row = re.search(rf"\| {name} \| ([\d.]+) %", README)
    assert float(figure[1]) == float(row[1])


def test_their_metadata_says_what_made_them():
    for path in SHIPPED:
        metadata = models.read_metadata(REPOSITORY / path)
        assert re.fullmatch(r"[0-9a-f]{40}", metadata["git_revision"])  # of a clean checkout
        assert json.loads(metadata["config"])["seed"] == 0
        assert "scikit-learn" in metadata["data"]
        assert json.loads(metadata["results"])["test_images"] == 300


def test_they_are_found_by_name_of_the_network():
    model = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 1, 12, 12)).shape == (2, 10)
    with pytest.raises(FileNotFoundError, match=r"attention_type=Global.*; there are: rotDigits-"):
        models.create_model("p4sa", "rotDigits", attention_type="Global", pretrained=True)


def test_a_folder_without_weights_is_said_to_be_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are: none"):
        find_shipped("z2cnn", "rotMNIST", {}, tmp_path)
