"""What the programs of demo/ look at: networks, random or trained, and an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from g_selfatt import datasets, groups, models
from g_selfatt.groups import Group
from g_selfatt.nn import TransformerBlock
from g_selfatt.nn.self_attention import SelfAttention
from g_selfatt.testing import UpTo

BIAS_STD = 0.3


def random_network(name: str, dataset: str, seed: int, encoding: str) -> nn.Module:
    """A network with random weights that let a group encoding matter, float64, in eval mode.

    A new network has zero biases, and a position MLP without biases sees only the sign of a
    coordinate; here the biases are random too. Weights are as large as in the paper, also where the
    arguments for a data set have smaller ones.

    Args:
        name: of the network.
        dataset: name of the data set.
        seed: of the weights.
        encoding: a name of `GROUP_ENCODINGS`.

    Raises:
        ValueError: an unknown name, or a model without a group encoding.
    """
    _check_has_encoding(name)
    torch.manual_seed(seed)
    takes_scale = models.model_entry(name).takes("whitening_scale")
    scale: dict[str, Any] = {"whitening_scale": math.sqrt(2)} if takes_scale else {}
    model = models.create_model(name, dataset, group_encoding=encoding, **scale)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("bias"):
            nn.init.normal_(parameter, std=BIAS_STD)
    return model.double().eval()


def trained_network(path: Path, encoding: str) -> nn.Module:
    """The network of a weights file, float64, in eval mode.

    Args:
        path: a file written by training, or the folder of its run.
        encoding: a name of `GROUP_ENCODINGS`, not only the one that it was trained with.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, was not written by training, or is of a model without a group
            encoding.
    """
    weights = models.Weights.read(path)
    _check_has_encoding(weights.model)
    return models.load_model(weights, group_encoding=encoding, backend="auto").double().eval()


def shipped_layers(name: str, dataset: str, layer: str) -> tuple[nn.Module, Group]:
    """A trained network of saved/ up to a layer, from pixels in [0, 1], and its group.

    Args:
        name: of the network.
        dataset: what it was trained on.
        layer: a name of `name_layers`.

    Raises:
        ValueError, FileNotFoundError: as `trained_network` and `models.find_pretrained`.
    """
    model = trained_network(models.find_pretrained(name, dataset)[0].path, "equivariant")
    network = nn.Sequential(Normalize(datasets.INFO[dataset]), model)
    return UpTo(network, name_layers(model)[layer]), groups.get(models.model_entry(name).group)


def _check_has_encoding(name: str) -> None:
    if not models.model_entry(name).takes("group_encoding"):
        others = [n for n in models.list_models() if models.model_entry(n).takes("group_encoding")]
        raise ValueError(f"{name} has no group encoding; choose one of {', '.join(others)}")


def name_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The lifting, the attention layers, the blocks that have one, and the logits of a network."""
    layers: dict[str, nn.Module] = {}
    for module in model.modules():
        if isinstance(module, SelfAttention) and module.lifting:
            layers["lifting"] = module
        elif isinstance(module, TransformerBlock):  # comes before the attention inside it
            number = sum(name.startswith("block") for name in layers) + 1
            layers[f"block {number}"] = module
        elif isinstance(module, SelfAttention):
            number = sum(name.startswith("attention") for name in layers) + 1
            layers[f"attention {number}"] = module
    return layers | {"logits": model}


class Normalize(nn.Module):
    """Pixels in [0, 1] to what the networks of a data set are trained on.

    Shape: ``(B, C, H, W)`` → the same.
    """

    def __init__(self, info: datasets.DatasetInfo) -> None:
        super().__init__()
        self.mean = torch.tensor(info.mean, dtype=torch.float64)[:, None, None]
        self.std = torch.tensor(info.std, dtype=torch.float64)[:, None, None]

    def forward(self, pixels: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation of every channel."""
        return (pixels - self.mean) / self.std


def rot_digit(index: int = 0) -> tuple[Tensor, int]:
    """A test image of rotDigits, ``(1, 1, 12, 12)`` float64 in [0, 1], and its label."""
    test = datasets.load("rotDigits").test
    assert isinstance(test, datasets.TensorSplit)
    return test.images[index : index + 1].double() / 255, int(test.labels[index])


def mnist_digit() -> Tensor:
    """The 2 of demo/digit.png, ``(1, 1, 28, 28)`` float64 in [0, 1].

    A test image of MNIST (Y. LeCun, C. Cortes and C. J. C. Burges), licence CC BY-SA 3.0.
    """
    digit = np.array(Image.open(Path(__file__).with_name("digit.png")).convert("L"))
    return torch.from_numpy(digit)[None, None].double() / 255


def example_image(info: datasets.DatasetInfo) -> tuple[Tensor, str]:
    """An image ``(1, C, H, W)`` float64 in [0, 1], black where a turn would cut it, and its name.

    A test image of rotDigits, which needs no download; for other data sets a random one, since what
    is measured is the network.
    """
    if info.name == "rotDigits":
        pixels, label = rot_digit()
        return pixels, f"test image 0 of rotDigits, a {label}"
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, info.in_channels, 7, 7, dtype=torch.float64, generator=generator)
    smooth = F.interpolate(coarse, info.image_size, mode="bicubic").clamp(0, 1)
    axis = torch.linspace(-1, 1, info.image_size, dtype=torch.float64)
    window = (1 - axis[:, None] ** 2 - axis**2).clamp_min(0)
    return smooth * window, "a smooth random image, seed 0"
