"""The wheel: layers, networks, data sets and shipped weights, under one top-level name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from g_selfatt import datasets, models

REPOSITORY = Path(__file__).parents[1]
PARTS = ("g_selfatt", "saved", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel unpacks to; built from a copy, since setuptools writes there."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split("\0")[:-1]  # fmt: skip
    for name in listed:
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((REPOSITORY / name).read_bytes())
    mine = folder / "source" / "saved" / "a-run-of-my-own"
    mine.mkdir()
    mine.joinpath("weights.safetensors").touch()
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "."]
    subprocess.run([sys.executable, "-m", *build, "./source"], cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "installed")
    return folder / "installed"


def test_one_top_level_name(installed):
    names = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert names == {"g_selfatt"}
    assert (installed / "g_selfatt" / "py.typed").exists()


def test_it_has_the_shipped_weights_and_no_others(installed):
    there = {path.parent.name for path in installed.rglob("weights.safetensors")}
    assert there == {weights.name for weights in models.list_pretrained()}


def test_it_works_away_from_the_checkout(installed, tmp_path):
    program = (
        "import sys; sys.modules['numba'] = None  # compiles nothing\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from g_selfatt import datasets, models\n"
        "assert len(models.list_pretrained()) > 1\n"
        "network = models.create_model('p4sa', 'rotDigits', pretrained=True).eval()\n"
        "images = datasets.load('rotDigits').test.images[:4] / 255\n"
        "with torch.no_grad():\n"
        "    torch.save((images, network(images)), sys.argv[1])\n"
        "print(Path(models.__file__).parents[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "there.pt"], cwd=tmp_path,
        env={"PYTHONPATH": str(installed)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == installed / "g_selfatt"
    images, logits = torch.load(tmp_path / "there.pt")
    assert torch.equal(images, datasets.load("rotDigits").test.images[:4] / 255)
    network = models.create_model("p4sa", "rotDigits", pretrained=True).eval()
    torch.testing.assert_close(logits, network(images), rtol=1e-4, atol=1e-4)
