"""Networks in the form of the Hugging Face Hub, by folders: no network is asked."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from safetensors.torch import load_file, save_file

from g_selfatt import groups, models

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "dataset"), [("p4sa", "rotDigits"), ("p4convnet", "rotDigits"), ("z2cnn", "rotMNIST")]
)
def test_trained_networks_come_back_to_the_bit_with_what_is_known_of_them(name, dataset, tmp_path):
    network = models.create_model(name, dataset, pretrained=True).eval()
    assert isinstance(network, PyTorchModelHubMixin)
    network.save_pretrained(tmp_path)
    loaded = type(network).from_pretrained(tmp_path)
    assert not loaded.training
    size = network.pretrained_config["image_size"]
    images = torch.randn(2, 1, size, size)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
    assert loaded.pretrained_config == network.pretrained_config
    assert loaded.network_record == network.network_record
    text = ModelCard.load(tmp_path / "README.md").text
    assert f"# {name}, trained on {dataset}" in text
    assert f"{network.pretrained_config['test_accuracy']:.2%}" in text
    assert f"models.{type(network).__name__}.from_pretrained" in text


def test_a_new_last_layer_and_a_group_of_ones_own_choice_are_kept(tmp_path):
    network = models.create_model("z2cnn", "rotMNIST", pretrained=True)
    network.reset_classifier(3)
    network.save_pretrained(tmp_path / "cnn")
    assert models.CNN.from_pretrained(tmp_path / "cnn").num_classes == 3
    card = ModelCard.load(tmp_path / "cnn" / "README.md").text
    assert "trained on rotMNIST" in card and "accuracy" not in card and "Classes" not in card

    arguments = {"stem_channels": 3, "channels_per_stage": (4,), "blocks_per_stage": (1,)}
    network = models.GroupCoAtNet(
        group=groups.get("p4m"),
        in_channels=2,
        num_classes=5,
        image_size=9,
        attention_per_stage=("Local",),
        **arguments,
    ).eval()
    network.save_pretrained(tmp_path / "coatnet")
    assert json.loads((tmp_path / "coatnet" / "config.json").read_text())["group"] == "p4m"
    image = torch.randn(1, 2, 9, 9)
    torch.testing.assert_close(
        models.GroupCoAtNet.from_pretrained(tmp_path / "coatnet")(image), network(image)
    )


def test_a_group_that_its_name_does_not_stand_for_is_refused(tmp_path):
    p4 = groups.get("p4")
    order = torch.tensor([0, 2, 1, 3])  # the same group, its elements in another order
    table = order.argsort()[p4.multiplication_table[order][:, order]]
    group = groups.Group("p4", table, p4.matrices[order])
    network = models.create_model("p4sa", "rotDigits", group=group)
    with pytest.raises(ValueError, match=r"groups.get\('p4'\) is not this group"):
        network.save_pretrained(tmp_path)


def test_what_does_not_fit_is_one_line(tmp_path):
    network = models.create_model("z2cnn", "rotMNIST")
    network.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is a z2cnn, got GroupCoAtNet.*expected CNN.from_pre"):
        models.GroupCoAtNet.from_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    metadata = models.read_metadata(path)
    tensors = load_file(path)
    tensors["layers.0.weight"][0] += 1
    save_file(tensors, path, metadata)
    with pytest.raises(models.CheckpointError, match="do not match their sha256"):
        models.CNN.from_pretrained(tmp_path)


def test_what_is_pushed(monkeypatch, tmp_path):
    """The two calls that leave this machine are cut off; the files are what they were given."""
    pushed = {}

    def upload(self, *, repo_id, folder_path, **options):
        pushed.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})
        return f"https://example.org/{repo_id}"

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo_id, **options: Repository(repo_id))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    network = models.create_model("p4sa", "rotDigits", pretrained=True)
    assert network.push_to_hub("me/p4sa") == "https://example.org/me/p4sa"
    assert set(pushed) == {"config.json", "model.safetensors", "README.md"}
    for name, content in pushed.items():
        (tmp_path / name).write_bytes(content)
    loaded = models.GroupTransformer.from_pretrained(tmp_path)
    assert loaded.pretrained_config == network.pretrained_config


class Repository:
    def __init__(self, repo_id):
        self.repo_id = repo_id


def test_signatures_are_those_of_the_networks():
    assert list(inspect.signature(models.CNN).parameters) == [
        "in_channels",
        "num_classes",
        "dropout_rate",
    ]


def test_torch_hub_beside_packages_of_the_same_names(tmp_path):
    """`datasets` is Hugging Face's name too, and many programs have a `models`."""
    for name in ("models", "datasets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    program = (
        "import datasets, models, torch\n"
        f"where = {str(REPOSITORY)!r}\n"
        "network = torch.hub.load(where, 'create_model', 'p4sa', 'rotDigits', source='local')\n"
        "print(models.MINE, datasets.MINE, network(torch.zeros(1, 1, 12, 12)).shape[1])\n"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "10"]
