"""What a trained network says about images that are prepared as its training images were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from g_selfatt import models
from g_selfatt.datasets.errors import one_line
from g_selfatt.datasets.image_files import image_files, read_image
from training.errors import UserError
from training.evaluation import PIXELS
from training.pretrained import named


@dataclass(frozen=True)
class Prediction:
    """What a network says about one image.

    Attributes:
        file: the image file.
        probabilities: class name to probability, the most probable first.
    """

    file: Path
    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable class."""
        return next(iter(self.probabilities))


def predict(source: str | Path, images: str | Path | Sequence[str | Path]) -> list[Prediction]:
    """Classify images.

    Args:
        source: a run folder, or the full name of shipped weights.
        images: an image file, a folder of images, or several of these.

    Returns:
        One prediction for each image, in the order given; the images of a folder by name.

    Raises:
        UserError: no such weights, no such file, or a file that is no image.
    """
    paths = [images] if isinstance(images, (str, Path)) else images
    network = load_network(source)
    return [one for _, batch in predict_batches(network, find_files(paths)) for one in batch]


def load_network(source: str | Path) -> nn.Module:
    """The network of a run folder or of shipped weights, in eval mode.

    Raises:
        UserError: there are no such weights, or they are damaged.
    """
    try:
        return models.load_model(named(source)).eval()
    except ValueError as error:
        raise UserError(one_line(error)) from error


def find_files(paths: Sequence[str | Path]) -> list[Path]:
    """Image files, and those below folders.

    Raises:
        UserError: a path that does not exist, a folder without images.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        found = image_files(path) if path.is_dir() else [str(path)]
        if not found:
            raise UserError(f"{path} holds no image")
        files += map(Path, found)
    return files


def predict_batches(
    network: nn.Module, files: Sequence[Path], pass_over: Callable[[UserError], None] | None = None
) -> Iterator[tuple[Tensor, list[Prediction]]]:
    """Classify image files in batches, with a progress bar where there are many.

    Args:
        network: from `load_network`.
        files: images.
        pass_over: is told of each file that is no image, which is left out; None to raise that.

    Returns:
        For each batch the prepared images ``(B, C, H, W)`` and their predictions.

    Raises:
        UserError: a file that is no image.
    """
    prepared = network.pretrained_config
    mean, std = (torch.tensor(prepared[name])[:, None, None] for name in ("mean", "std"))
    size, channels = prepared["image_size"], prepared["in_channels"]
    at_once = max(PIXELS["cpu"] // size**2, 1)
    with tqdm(total=len(files), unit=" images", disable=len(files) <= at_once or None) as bar:
        for start in range(0, len(files), at_once):
            batch = files[start : start + at_once]
            images: list[tuple[Path, Tensor]] = []
            for file in batch:
                try:
                    images.append((file, _read(file, size, channels)))
                except UserError as error:
                    if pass_over is None:
                        raise
                    pass_over(error)
            if images:
                x = (torch.stack([image for _, image in images]).float() / 255 - mean) / std
                with torch.no_grad():
                    rows = network(x).softmax(dim=1).tolist()
                yield (
                    x,
                    [
                        Prediction(file, _sorted(zip(prepared["classes"], row, strict=True)))
                        for (file, _), row in zip(images, rows, strict=True)
                    ],
                )
            bar.update(len(batch))


def _read(file: Path, size: int, channels: int) -> Tensor:
    try:
        return torch.from_numpy(read_image(str(file), size, channels).copy()).permute(2, 0, 1)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read ({one_line(error)})") from error


def _sorted(pairs: Iterator[tuple[str, float]]) -> dict[str, float]:
    return dict(sorted(pairs, key=lambda pair: -pair[1]))
