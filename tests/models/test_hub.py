"""Networks in the form of the Hugging Face Hub, by folders: no network is asked."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from safetensors.torch import load_file, save_file

from g_selfatt import groups, models
from g_selfatt.models import registry
from g_selfatt.models.group_coatnet_presets import convolutional

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


def test_arguments_in_place_of_those_that_are_kept(tmp_path):
    models.create_model("p4sa", "rotDigits", pretrained=True).save_pretrained(tmp_path / "five")
    network = models.GroupTransformer.from_pretrained(
        tmp_path / "five", patch_size=3, map_location="cpu", strict=True
    )
    assert network.network_record["arguments"]["patch_size"] == 3
    assert "test_accuracy" not in network.pretrained_config
    network.save_pretrained(tmp_path / "three")
    again = models.GroupTransformer.from_pretrained(tmp_path / "three", attention_dropout_rate=0.3)
    assert again.network_record["arguments"] == network.network_record["arguments"] | {
        "attention_dropout_rate": 0.3
    }
    free = models.GroupTransformer.from_pretrained(tmp_path / "five", attention_dropout_rate=0.3)
    assert free.pretrained_config["test_accuracy"] > 0.9  # dropout is for training


def test_weights_that_were_trained_on_lose_their_name_and_accuracy(tmp_path, caplog):
    network = models.create_model("p4sa", "rotDigits", pretrained=True)
    network.save_pretrained(tmp_path)
    name = network.pretrained_config["name"]
    assert name in (tmp_path / "README.md").read_text() and not caplog.messages
    with torch.no_grad():
        next(network.parameters()).add_(1)
    network.save_pretrained(tmp_path)
    assert "README.md is not changed; delete it" in caplog.text
    (tmp_path / "README.md").unlink()
    network.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert name not in card and "accuracy" not in card and "trained on rotDigits" in card
    kept = models.GroupTransformer.from_pretrained(tmp_path).pretrained_config
    assert not {"name", "test_accuracy"} & set(kept) and len(kept["classes"]) == 10


def test_numbers_of_numpy_are_kept(tmp_path):
    arguments = {"num_channels": np.int64(16), "crop_per_layer": np.zeros(1, int)}
    network = models.create_model("p4sa", "rotDigits", block_sizes=(1,), **arguments).eval()
    network.save_pretrained(tmp_path)
    images = torch.randn(2, 1, 12, 12)
    with torch.no_grad():
        loaded = models.GroupTransformer.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(images), network(images))
    assert loaded.network_record["arguments"]["num_channels"] == 16


def tiny(group, in_channels, num_classes):
    stages = {"stem_channels": 4, "channels_per_stage": (4,), "blocks_per_stage": (1,)}
    facts = {"group": group, "in_channels": in_channels, "num_classes": num_classes}
    return models.GroupCoAtNet(image_size=12, attention_per_stage=("Off",), **stages, **facts)


@pytest.mark.parametrize(
    ("build", "arguments"), [(models.GroupCoAtNet, convolutional), (tiny, lambda _: {})]
)
def test_a_network_registered_by_another_program(build, arguments, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
        models.register_model({"mine": "p4"}, arguments=arguments)(build)
        models.create_model("mine", "rotDigits").save_pretrained(tmp_path)
        models.GroupCoAtNet.from_pretrained(tmp_path)
    network = models.GroupCoAtNet.from_pretrained(tmp_path)  # where "mine" is not known
    assert network.network_record["model"] == "mine"
    with pytest.raises(ValueError, match=r"is a mine, got CNN.*expected GroupCoAtNet.from_pretr"):
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
