"""An ONNX file answers in onnxruntime as the network does, for any batch, and says what it is."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from g_selfatt import models
from g_selfatt.models.export import export_onnx, main

Z2CNN = models.list_pretrained("rotMNIST-z2cnn*")[0]


def test_the_command_writes_a_file_that_agrees_with_the_network(tmp_path, capsys):
    out = tmp_path / "model.onnx"
    arguments = ["--dataset", "rotDigits", "--model", "p4sa", "--pretrained", "--out", str(out)]
    assert main(arguments) == 0
    assert "difference from the network" in capsys.readouterr().out
    network = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    session = onnxruntime.InferenceSession(str(out))
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(kept["mean"]) == list(network.pretrained_config["mean"])
    for batch in (1, 2, 7):  # 2 is what the graph was traced with
        x = torch.randn(batch, 1, 12, 12)
        (logits,) = session.run(["logits"], {"images": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(logits, network(x).numpy(), rtol=1e-4, atol=1e-3)


def test_a_file_that_does_not_agree_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("g_selfatt.models.export.TOLERANCE", 0.0)
    arguments = ["--dataset", "rotMNIST", "--model", "z2cnn", "--pretrained"]
    assert main([*arguments, "--out", str(tmp_path / "m.onnx")]) == 1


@pytest.mark.parametrize("arguments", [["--run"], ["--pretrained", "--model"]])
def test_shipped_weights_by_their_full_name(tmp_path, capsys, arguments):
    out = tmp_path / "m.onnx"
    assert main([*arguments, Z2CNN.name, "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: {Z2CNN.name}\n")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--run", "nowhere"], "no weights at nowhere"),
        (["--run", "nowhere", "--model", "p4sa"], "leave out --dataset and --model"),
        (["--pretrained", "--model", "p3sa"], "unknown model 'p3sa'"),
        (["--pretrained", "--model", "p16sa"], "no weights are shipped"),
        (
            ["--pretrained", "--model", Z2CNN.name, "--dataset", "rotDigits"],
            "was trained on rotMNIST, got dataset='rotDigits': leave it out",
        ),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, capsys, arguments, words):
    assert main([*arguments, "--out", str(tmp_path / "m.onnx")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_run_of_ones_own(tmp_path):
    network = models.load_model(Z2CNN.path.parent)
    assert export_onnx(network, tmp_path / "m.onnx") < 1e-5
    assert all(module.training for module in network.modules())


def test_wide_1x1_convolutions(tmp_path):
    """They are convolutions of torch where no exporter looks."""
    network = models.create_model("mz2coatnet", "CIFAR10", pretrained=True)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    assert export_onnx(network, tmp_path / "m.onnx") < 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    kept = session.get_modelmeta().custom_metadata_map
    assert "classes" in kept and "test_accuracy" not in kept  # that of other weights
