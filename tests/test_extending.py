"""A file of a user's own that registers a data set and a network, as docs/extending.md has it."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import main
from g_selfatt import datasets, models
from g_selfatt.models import registry
from training import predict
from training.tracking import Tracker

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def command(tmp_path):
    """The command line with the file of the page, and what is given."""
    file = tmp_path / "my_run.py"
    file.write_text(re.search(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)[1])

    def command(*overrides):
        overrides = (f"save_dir={tmp_path / 'saved'}", "device=cpu", *overrides)
        arguments = " ".join(f"--config.{override}" for override in overrides).split()
        return main.main([f"--config={file}", *arguments])

    return command


def run_folders(tmp_path):
    return sorted((tmp_path / "saved").glob("*/weights.safetensors"))


def test_it_trains_is_found_again_and_loads(command, tmp_path, capsys):
    assert command() == 0
    [weights] = run_folders(tmp_path)
    config = json.loads((weights.parent / "config.json").read_text())
    assert (config["dataset"], config["model"], config["width"]) == ("stripes", "mz2one", 6)
    trained = re.search(r"test accuracy: (\S+ \(\d+ of 24)", capsys.readouterr().out)[1]
    assert command("pretrained=True") == 0
    assert command("pretrained=True", f"path={weights.parent}") == 0
    assert capsys.readouterr().out.count(f"test accuracy: {trained}") == 2

    model = models.load_model(weights.parent)
    assert model.classifier.in_features == 6
    assert model.pretrained_config["classes"] == ("rows", "columns")


def test_predict_imports_the_file_that_registers_it(command, tmp_path, monkeypatch, capsys):
    assert command() == 0
    assert "IMAGE --import YOUR_FILE.py\n" in capsys.readouterr().out
    [weights] = run_folders(tmp_path)
    image = tmp_path / "one.png"
    Image.new("L", (12, 12)).save(image)
    line = [str(weights.parent), str(image)]
    known = {name: entry for name, entry in registry._REGISTRY.items() if name != "mz2one"}
    monkeypatch.setattr(registry, "_REGISTRY", known)
    assert predict.main(line) == 2
    assert "mz2one, which is not registered" in capsys.readouterr().err
    assert predict.main([*line, "--import", str(tmp_path / "nothing.py")]) == 2
    assert capsys.readouterr().err.endswith("nothing.py: no such file\n")
    for content, words in (
        ("def (", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ):
        (tmp_path / "bad.py").write_text(content)
        assert predict.main([*line, "--import", str(tmp_path / "bad.py")]) == 2
        error = capsys.readouterr().err.strip()
        assert "bad.py cannot be imported" in error and words in error and "\n" not in error
    (tmp_path / "beside.py").write_text("import my_run")
    assert predict.main([*line, "--import", str(tmp_path / "beside.py")]) == 0
    assert "rows" in capsys.readouterr().out


def test_an_interrupted_run_goes_on(command, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "log", interrupt)
        assert command() == 130
    assert not run_folders(tmp_path)
    assert command() == 0
    [resumed] = run_folders(tmp_path)
    assert command("comment=whole") == 0
    [whole] = set(run_folders(tmp_path)) - {resumed}
    first, second = (models.load_model(path).state_dict() for path in (resumed, whole))
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_its_own_key_is_a_key_like_any_other(command, tmp_path, capsys):
    assert command("width=7", "smoke=True") == 0
    assert command("smoke=True", "width 7") == 0
    for override, words in (
        ("width=0", "width: got 0, expected at least 1"),
        ("width=wide", "width: got 'wide'"),
        ("widht=7", "widht: no such key, did you mean --config.width?"),
        ("model=p5one", "model: unknown model 'p5one'"),
    ):
        capsys.readouterr()
        assert command(override, "smoke=True") == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith(words) and "\n" not in error
    assert main.main(["--config.width=7"]) == 2  # not a key of p4sa
    assert "width: no such key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "Linear(width, num_classes)",
            "Linear(width, 3)",
            "returns (1, 3) for one image, expected",
        ),
        ("Linear(width, num_classes)", "Linear(2 * width, 2)", "model: mat1 and mat2 shapes"),
        ("*, group", "*, foo, group", "missing 1 required keyword-only argument: 'foo'"),
        ("rng.integers(0, 2, 96)", "rng.integers(1, 3, 96)", "train labels go from 1 to 2"),
        ("batch_size=8", "batch_size=0", "batch_size: got 0, expected at least 1"),
    ],
)
def test_mistakes_in_the_file_are_one_line(command, tmp_path, capsys, old, new, words):
    file = tmp_path / "my_run.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert command("smoke=True") == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "Traceback" not in error, error


def test_a_configuration_that_does_not_start_from_the_defaults_is_refused(tmp_path, capsys):
    file = tmp_path / "my_run.py"
    file.write_text("def get_config():\n    return {'model': 'p4sa'}\n")
    assert main.main([f"--config={file}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "missing from the config file, which starts from" in error


def test_names_of_the_repository_are_not_registered_again():
    def build(*, num_classes):
        raise NotImplementedError

    with pytest.raises(
        ValueError, match=r"P4SA: g_selfatt\.models\.group_transformer has that name already"
    ):
        models.register_model({"P4SA": "p4"})(build)
    with pytest.raises(ValueError, match=r"datasets\.mnist_rot has that name already"):
        datasets.register(name="mnist_ROT", provenance="")(build)
    with pytest.raises(ValueError, match="no such fact: colour; choose from"):
        datasets.register(name="mine", provenance="", colour=True)
    with pytest.raises(ValueError, match=r"has \*\*arguments, expected all arguments by name"):
        models.register_model({"mine": "p4"})(lambda **arguments: None)


def test_a_reader_must_tell_what_the_record_does_not():
    @datasets.register(name="half", provenance="made here", image_size=4, in_channels=1)
    def half(root, *, download=True):
        images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
        split = datasets.TensorSplit(images, torch.arange(4))
        return datasets.Source(split, split, split, facts)

    facts = {"num_classes": 4, "mean": (0.5,)}
    with pytest.raises(ValueError, match="data set half: its reader must return std in Source"):
        datasets.load("half")
    facts |= {"std": (0.25,), "provenance": "this file"}
    info = datasets.load("half").info
    assert (info.num_classes, info.mean, info.provenance) == (4, (0.5,), "this file")
    assert datasets.INFO["half"].num_classes == 0  # the record stays as registered
