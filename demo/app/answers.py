"""What the page shows, computed: answers of networks to a turned image, and what is inside."""

from __future__ import annotations

import copy
import threading
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from demo.networks import name_layers
from g_selfatt import models
from g_selfatt.functional import transform_plane
from g_selfatt.groups import SE2
from g_selfatt.nn.neighbourhood import Window
from g_selfatt.nn.self_attention import SelfAttention
from g_selfatt.testing import UpTo
from training.errors import UserError
from training.prediction import load_network

ANGLES = tuple(range(0, 360, 15))  # of a curve, in degrees
OF_DIGITS = ("rotMNIST", "rotDigits", "uprightDigits", "MNIST", "uprightMNIST")
_ONE_FORWARD = threading.Lock()  # hooks keep what goes through a network that all requests share
DIGIT_SHARE = 0.7  # of the side of an image that a digit takes
PAPER_NOISE = 16  # levels of grey by which a photo of paper differs from place to place


@cache
def shipped() -> dict[str, dict[str, nn.Module]]:
    """The preferred shipped networks: data set to model to network, in eval mode."""
    networks: dict[str, dict[str, nn.Module]] = {}
    for weights in models.list_pretrained():
        of_dataset = networks.setdefault(weights.dataset, {})
        if weights.model not in of_dataset:
            of_dataset[weights.model] = load_network(weights.name)
    return networks


@cache
def own(folder: str) -> nn.Module:
    """The network of a run folder or of a file of weights; UserError where there is none."""
    path = Path(folder).expanduser()
    if not path.exists():
        raise UserError(f"{folder}: no such run folder")
    return load_network(path)


def facts(network: nn.Module) -> dict:
    """What is kept with the weights of a network: data set, image size, classes, mean, std."""
    return network.pretrained_config  # type: ignore[return-value]


def with_classes(network: nn.Module, names: list[str] | None) -> nn.Module:
    """The same network with other class names; UserError where their number is wrong."""
    count = facts(network)["num_classes"]
    if names is not None and len(names) != count:
        raise UserError(f"Class names: got {len(names)}, the network has {count} classes")
    renamed = copy.copy(network)
    renamed.pretrained_config = facts(network) | ({"classes": names} if names else {})  # type: ignore
    return renamed


def prepare(image: Image.Image, network: nn.Module) -> Tensor:
    """An image as a network takes it, before normalization: ``(1, C, H, W)`` in [0, 1].

    For networks of digits it is white on black, and the digit is centred as theirs are.
    """
    about = facts(network)
    size, of_digits = about["image_size"], about["dataset"] in OF_DIGITS
    image = image.convert("L" if about["in_channels"] == 1 else "RGB")
    if of_digits:
        image = _centre(image)
    pixels = torch.from_numpy(np.array(ImageOps.fit(image, (size, size)), dtype=np.float32)) / 255
    return pixels.reshape(size, size, -1).permute(2, 0, 1)[None]


def _centre(image: Image.Image) -> Image.Image:
    """A digit on black: ink on paper becomes white on black, the digit is cut out and padded."""
    pixels = np.array(image)
    paper = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean()
    if paper > 127:
        ink = (paper - PAPER_NOISE - np.arange(256)).clip(0)  # of each level of grey
        most = max(ink[pixels.min()], PAPER_NOISE)
        image = image.point(np.rint(ink * 255 / most).clip(0, 255).astype(int).tolist())
    box = image.point(lambda value: 255 * (value > 64)).getbbox()
    if box is None:
        return image
    digit = image.crop(box)
    side = round(max(digit.size) / DIGIT_SHARE)
    square = Image.new("L", (side, side))
    square.paste(digit, ((side - digit.width) // 2, (side - digit.height) // 2))
    return square


def turn(pixels: Tensor, degrees: tuple[int, ...]) -> Tensor:
    """An image ``(1, C, H, W)`` turned counter-clockwise by every angle, ``(angles, C, H, W)``."""
    return torch.cat([transform_plane(pixels, _every_degree()[d % 360]) for d in degrees])


@cache
def _every_degree() -> Tensor:
    return SE2(360).matrices


@torch.no_grad()
def answer(network: nn.Module, pixels: Tensor) -> Tensor:
    """Probabilities of the classes, ``(images, classes)``, for pixels in [0, 1]."""
    with _ONE_FORWARD:
        return network(_normalize(network, pixels)).softmax(dim=1)


def warm_up() -> None:
    """Answer once with every shipped network: this loads the compiled attention, or compiles it."""
    for of_dataset in shipped().values():
        for network in of_dataset.values():
            answer(network, prepare(Image.new("L", (1, 1)), network))


def _normalize(network: nn.Module, pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(facts(network)[name])[:, None, None] for name in ("mean", "std"))
    return (pixels - mean) / std


@torch.no_grad()
def attention_at(network: nn.Module, pixels: Tensor, layer: str, pixel: tuple[int, int]) -> Tensor:
    """What a pixel looks at in a layer, on the image of that layer: ``(heads, |H|, H, W)``.

    Args:
        network: with local attention.
        pixels: in [0, 1].
        layer: the name of a layer, from `attention_layers`.
        pixel: row and column in the image; moved into the layer's map.
    """
    module = network.get_submodule(layer)
    assert isinstance(module, SelfAttention)
    inputs: list[Tensor] = []
    with _ONE_FORWARD:
        handle = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        try:
            network(_normalize(network, pixels))
        finally:
            handle.remove()
    size, reach = inputs[0].shape[-2:], module.neighbourhood.reach
    row, column = (
        min(int((i + 0.5) * n / side), n - 1)
        for i, n, side in zip(pixel, size, pixels.shape[-2:], strict=True)
    )
    # A pixel's weights depend on its window only, and are computed there in no time.
    top, left = max(row - reach, 0), max(column - reach, 0)
    window = inputs[0][..., top : row + reach + 1, left : column + reach + 1]
    weights = module(window, return_attention=True)[1][0, :, :, row - top, column - left]
    around = weights.unflatten(-1, (2 * reach + 1, 2 * reach + 1))
    left, top = column - reach, row - reach
    right, bottom = size[1] - column - reach - 1, size[0] - row - reach - 1
    return F.pad(around, (left, right, top, bottom))


def attention_layers(network: nn.Module) -> dict[str, str]:
    """The layers of local attention: a name to show, to the name in ``named_modules()``."""
    full = {module: name for name, module in network.named_modules()}
    return {
        name: full[layer]
        for name, layer in name_layers(network).items()
        if isinstance(layer, SelfAttention) and isinstance(layer.neighbourhood, Window)
    }


@torch.no_grad()
def features(network: nn.Module, pixels: Tensor, layer: str) -> Tensor:
    """The maps after a layer of `attention_layers`, ``(C, |H|, H, W)``."""
    module = network.get_submodule(layer)
    with _ONE_FORWARD:
        return UpTo(network, module)(_normalize(network, pixels))[0]
