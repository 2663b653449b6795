"""What `demo.equivariance_report` measures: networks under several encodings, and an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import datasets
import models

BIAS_STD = 0.3


class Networks(NamedTuple):
    """The same weights under several group encodings.

    Attributes:
        model, dataset: canonical names.
        weights: where the weights are from, to be read.
        by_encoding: the networks, float64 and in eval mode.
    """

    model: str
    dataset: str
    weights: str
    by_encoding: dict[str, models.GroupTransformer]


def random_networks(name: str, dataset: str, seed: int, encodings: Sequence[str]) -> Networks:
    """Networks with random weights that let a group encoding matter.

    At initialisation the biases are 0, and a position MLP without biases sees the sign of a
    coordinate alone; here they are drawn too. Weights are as large as in the paper, also where a
    preset of ours begins with smaller ones.

    Raises:
        ValueError: an unknown name, or a model without a group.
    """
    name, dataset = models.model_entry(name).name, datasets.canonical_name(dataset)
    _check_has_group(name)
    by_encoding = {}
    for encoding in encodings:
        torch.manual_seed(seed)
        model = models.create_model(
            name, dataset, group_encoding=encoding, whitening_scale=math.sqrt(2)
        )
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                nn.init.normal_(parameter, std=BIAS_STD)
        by_encoding[encoding] = model.double().eval()
    return Networks(name, dataset, f"random weights, seed {seed}", by_encoding)


def trained_networks(path: Path, encodings: Sequence[str]) -> Networks:
    """The network of a weights file, also under encodings that it was not trained with.

    Args:
        path: a file written by training, or the folder of its run.
        encodings: names of `GROUP_ENCODINGS`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, has no configuration with it, or is of a model without a group.
    """
    weights = models.Weights.read(path)
    _check_has_group(weights.model)
    by_encoding = {}
    for encoding in encodings:
        model = models.load_model(weights, group_encoding=encoding, backend="auto")
        by_encoding[encoding] = model.double().eval()
    return Networks(weights.model, weights.dataset, f"weights of {weights.name}", by_encoding)


def _check_has_group(name: str) -> None:
    if not models.model_entry(name).takes("group_encoding"):
        others = [n for n in models.list_models() if models.model_entry(n).takes("group_encoding")]
        raise ValueError(f"{name} has no group encoding; choose one of {', '.join(others)}")


class Normalise(nn.Module):
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


def example_image(info: datasets.DatasetInfo) -> tuple[Tensor, str]:
    """An image ``(1, C, H, W)`` float64 in [0, 1], black where a turn would cut it, and its name.

    A test image of rotDigits, which needs no download; for other data sets a random one, since what
    is measured is the network.
    """
    if info.name == "rotDigits":
        test = datasets.load(info.name).test
        return test.images[:1].double() / 255, f"test image 0 of rotDigits, a {test.labels[0]}"
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, info.in_channels, 7, 7, dtype=torch.float64, generator=generator)
    smooth = F.interpolate(coarse, info.image_size, mode="bicubic").clamp(0, 1)
    axis = torch.linspace(-1, 1, info.image_size, dtype=torch.float64)
    window = (1 - axis[:, None] ** 2 - axis**2).clamp_min(0)
    return smooth * window, "a smooth random image, seed 0"
