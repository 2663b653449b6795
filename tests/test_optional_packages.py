"""What works without the optional packages, in a process that has none of them."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LAYERS = """
import sys
for name in ("numba", "llvmlite", "numpy", "filelock", "triton"):
    sys.modules[name] = None  # importing it now fails
import torch
from g_selfatt import functional, groups, nn, testing
layer = nn.LiftLocalSelfAttention("p4", 1, 2, 1, num_heads=1, patch_size=3)
layer(torch.randn(1, 1, 5, 5)).sum().backward()
testing.assert_equivariant(layer, "p4", torch.randn(1, 1, 5, 5))
"""
EVERYTHING = """
import sys
for name in ("numba", "llvmlite", "huggingface_hub", "torchvision"):
    sys.modules[name] = None  # importing it now fails
import datasets, models, torch, training
network = models.create_model("p4sa", "rotDigits", pretrained=True)
network(torch.zeros(1, 1, 12, 12)).sum().backward()
for method in (network.save_pretrained, network.push_to_hub, models.CNN.from_pretrained):
    try:
        method("folder")
    except ImportError as error:
        print(error)
datasets.load("rotDigits")
for name in ("CIFAR10", "MNIST"):
    try:
        datasets.load(name)
    except datasets.DataError as error:
        print(error)
"""
DATA = """
import sys
for name in ("torchvision", "scipy", "sklearn", "PIL", "tqdm", "h5py"):
    sys.modules[name] = None  # importing it now fails
from g_selfatt import datasets
from g_selfatt.datasets.pcam import convert
for name in datasets.list_datasets():
    try:
        datasets.load(name, sys.argv[1])
    except datasets.DataError as error:
        print(f"{name}: {error}")
    else:
        print(f"{name} lacks nothing")
"""


def output(program, *arguments):
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_layers_work_with_torch_alone():
    output(LAYERS)


def test_only_what_needs_an_optional_package_asks_for_it():
    *hub, cifar10, mnist = output(EVERYTHING).splitlines()
    assert len(hub) == 3 and all("huggingface_hub" in line for line in hub)
    for line, name in ((cifar10, "CIFAR10"), (mnist, "MNIST")):
        assert line.startswith(f"{name} needs ") and "pip install torchvision" in line


def test_every_data_set_names_the_package_that_it_lacks(tmp_path):
    lines = output(DATA, str(tmp_path)).splitlines()
    assert len(lines) > 5
    required, project = (
        (REPOSITORY / n).read_text() for n in ("requirements.txt", "pyproject.toml")
    )
    extra = re.findall(r'"(.+?)"', project.partition("\ndata = [")[2].partition("\n]")[0])
    assert set(extra) <= set(re.findall(r"^[^\s#]+", required, re.MULTILINE))
    for line in lines:
        named = re.findall("`pip install ([^`]+)`", line)
        assert named and set(named) <= {package.split(">")[0] for package in extra}, line
