"""The report: its numbers are those of `equivariance_error`, and each mistake is one line."""

import json
from dataclasses import replace

import pytest
import torch

from demo import equivariance_report, networks
from demo.equivariance_report import main
from g_selfatt import datasets, models
from g_selfatt.testing import equivariance_error

RUN = models.weights.SAVED / "rotDigits-p4sa-local5-seed0-0a670760"


def run(folder, *arguments):
    """The exit code of a command line, and the report that it wrote."""
    code = main([*arguments, "--angles=8", f"--out={folder}"])
    return code, json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The report of the weights that are shipped, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    code, report = run(folder, f"--weights={RUN}")
    assert code == 0
    return folder, report


def test_the_errors_are_those_of_equivariance_error(trained):
    model = models.create_model("p4sa", "rotDigits", group_encoding="paper")
    models.load_weights(RUN / "weights.safetensors", model)
    model.double()
    image = (datasets.load("rotDigits").test.images[:1].double() / 255 - 0.1733) / 0.3009
    lifting = equivariance_error(model.lifting_self_attention, model.group, image)
    logits = equivariance_error(model, model.group, image)
    errors = trained[1]["errors"]["paper"]["layers"]
    assert errors["lifting"] == list(lifting.values())
    assert errors["logits"] == pytest.approx(list(logits.values()), rel=1e-6)
    assert min(errors["logits"][1:]) > 1e-3


def test_ours_is_exact_and_that_of_the_paper_is_not(trained):
    report = trained[1]
    assert list(report["errors"]) == ["equivariant", "paper"]
    for layer in report["layers"]:
        worst = {
            name: equivariance_report.worst_exact(report, name, layer["name"])
            for name in report["errors"]
        }
        assert layer["exact"] and worst["equivariant"] < 1e-9
        assert (worst["paper"] > 1e-3) == (layer["name"] != "lifting")


def test_the_logits_at_every_angle(trained):
    report = trained[1]
    assert [angle["exact"] for angle in report["angles"]] == 4 * [True, False]
    for name, (exact, between) in {"equivariant": (1e-9, 1e-3), "paper": (1.0, 1e-3)}.items():
        logits = report["errors"][name]["logits"]
        assert max(logits[::2]) < exact and min(logits[1::2]) > between
        elements = report["errors"][name]["layers"]["logits"]  # turned by the same angles
        assert logits[::2] == pytest.approx(elements, abs=1e-12)


def test_the_facts(trained):
    report = trained[1]
    facts = {key: report[key] for key in ("model", "dataset", "group", "weights", "dtype", "image")}
    assert facts == {
        "model": "p4sa",
        "dataset": "rotDigits",
        "group": "p4",
        "weights": f"weights of {RUN.name}",
        "dtype": "float64",
        "image": "test image 0 of rotDigits, a 5",
    }


def test_a_network_of_saved_is_that_of_its_file(trained, tmp_path):
    _, report = run(tmp_path, "--pretrained", "--group_encoding", "paper", "paper")
    assert list(report["errors"]) == ["paper"]
    assert report["errors"]["paper"] == trained[1]["errors"]["paper"]


def test_mirrors_and_elements_that_interpolate(tmp_path, capsys):
    code, report = run(tmp_path, "--model=mz2sa", "--group_encoding=equivariant", "--seed=3")
    assert code == 0
    assert report["elements"] == [
        {"element": 0, "degrees": 0.0, "mirror": False, "exact": True},
        {"element": 1, "degrees": 0.0, "mirror": True, "exact": True},
    ]
    assert "multiples of 90° and mirrors" in capsys.readouterr().out
    code, report = run(tmp_path, "--model=p8sa", "--group_encoding=equivariant")
    assert [element["exact"] for element in report["elements"]] == 4 * [True, False]
    errors = report["errors"]["equivariant"]["layers"]
    assert min(errors["block 1"][1::2]) > 1e-3
    assert errors["block 3"][1::2] == 4 * [None]  # 2×2 pixels have no inscribed disc


def test_random_weights_are_the_same_under_every_encoding():
    ours, paper = (
        networks.random_network("p4sa", "rotDigits", 1, encoding).state_dict()
        for encoding in ("equivariant", "paper")
    )
    assert all(torch.equal(ours[name], paper[name]) for name in ours)
    assert ours["lifting_self_attention.row_embedding.0.bias"].abs().min() > 0


def _layers_of_blocks(count):
    return [f"{kind} {n}" for n in range(1, count + 1) for kind in ("attention", "block")]


def test_a_pooling_that_drops_a_row_is_not_judged():
    """PCam's network pools a 7×7 map at its end."""
    model = networks.random_network("p4sa", "PCam", 0, "equivariant")
    pixels = torch.rand(1, 3, 96, 96).double()
    exact = equivariance_report.even_layers(model, pixels, networks.name_layers(model))
    assert list(exact) == ["lifting", *_layers_of_blocks(4), "logits"]
    assert [name for name in exact if not exact[name]] == ["logits"]


def test_an_encoding_that_fails_ends_in_code_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(equivariance_report, "NOT_EQUIVARIANT", ())
    code, _ = run(tmp_path, "--group_encoding=paper")
    assert code == 1
    line = capsys.readouterr().err
    assert "group_encoding paper is not equivariant: relative error" in line
    assert "at attention 1, more than 1e-09" in line and line.count("\n") == 1


def test_nan_is_not_exact(tmp_path, monkeypatch, capsys):
    def random_network(*arguments):
        model = networks.random_network(*arguments)
        model.lifting_self_attention.wout.bias.data.fill_(float("nan"))
        return model

    monkeypatch.setattr(equivariance_report, "random_network", random_network)
    assert run(tmp_path, "--group_encoding=relative")[0] == 1
    assert "relative error nan at lifting" in capsys.readouterr().err


def test_weights_of_ones_own_images_bring_size_channels_and_mean(tmp_path):
    facts = {"image_size": 8, "in_channels": 3, "num_classes": 2, "classes": ("a", "b")}
    info = replace(datasets.INFO["folder"], **facts, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    network = models.create_model("p4sa", info)
    metadata = {
        "config": json.dumps({"model": "p4sa", "dataset": "folder"}),
        "results": json.dumps({"test_accuracy": 0.5, "parameters": 1}),
        "data": "made here",
    }
    models.save_weights(tmp_path / "weights.safetensors", network, metadata)
    code, report = run(tmp_path / "report", f"--weights={tmp_path}")
    assert code == 0 and report["dataset"] == "folder"
    pixels, _ = networks.example_image(info)
    x = pixels - torch.tensor(info.mean)[:, None, None]
    expected = equivariance_error(network.double().eval(), "p4", x)
    got = report["errors"]["equivariant"]["layers"]["logits"]
    assert max(got) < 1e-9 and max(expected.values()) < 1e-9 and len(got) == len(expected)


def test_networks_with_convolutions_are_measured_too(tmp_path):
    code, report = run(tmp_path, "--model=p4convnet")
    assert code == 0
    assert [layer["name"] for layer in report["layers"]] == ["logits"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_report_that_cannot_be_written_is_one_line(moment, tmp_path, monkeypatch, capsys):
    def measure(*_):
        assert moment == "after"
        (tmp_path / "report.json").unlink()
        (tmp_path / "report.json").mkdir()
        return {}

    monkeypatch.setattr(equivariance_report, "measure", measure)
    if moment == "before":
        (tmp_path / "report.json").mkdir()
        with pytest.raises(SystemExit, match="2"):
            main([f"--out={tmp_path}"])
    else:
        assert main([f"--out={tmp_path}"]) == 2
    line = capsys.readouterr().err
    assert "Is a directory" in line and line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--model=p5sa"], "unknown model 'p5sa'; choose one of z2cnn, z2convnet"),
        (
            ["--model=z2cnn", "--dataset=rotMNIST"],
            "z2cnn has no group encoding; choose one of",
        ),
        (["--dataset=MNST"], "unknown data set 'MNST': expected one of CIFAR10"),
        (["--group_encoding=ours"], "invalid choice: 'ours' (choose from"),
        (["--angles=0"], "--angles: expected a number from 1 on, got 0"),
        (["--pretrained", "--model=p8sa"], "no weights are shipped for"),
        (["--pretrained", "--seed=1"], "--seed is of random weights"),
        (["--weights=nowhere"], "no weights at nowhere"),
        (["--weights=README.md"], "README.md is not a readable safetensors file"),
        ([f"--weights={RUN}", "--model=p4sa"], "leave out --model"),
        (["--out=README.md"], "File exists: 'README.md'"),
    ],
)
def test_a_mistake_ends_in_one_line_with_code_2(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("no weights")
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("python -m demo.equivariance_report: ") and line in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
