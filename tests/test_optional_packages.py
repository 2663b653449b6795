"""What works without the optional packages, in a process that has none of them."""

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


def output(program):
    command = [sys.executable, "-c", program]
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
