"""A folder of your own images: ``DIR/<class>/<image>``, or ``DIR/{train,valid,test}/<class>/…``.

`python main.py --config.dataset=folder --config.data_dir=DIR` trains on it. What other data sets
know in advance (classes, channels, mean) is read from the files here.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import os
import re
from collections import Counter
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g_selfatt.config_keys import Key
from g_selfatt.datasets.augment import Mirrors, Turns
from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.image_files import (
    Files,
    is_hidden,
    list_images,
    open_image,
    read_image,
)
from g_selfatt.datasets.record import Protocol
from g_selfatt.datasets.registry import register

if TYPE_CHECKING:
    from g_selfatt.datasets.splits import Source, Split

logger = logging.getLogger(__name__)
LIKE_SPLIT = re.compile(
    r"(?i)(?<![a-z])(?:train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])"
)
SPLITS = {"train": ("train",), "validation": ("valid", "val", "validation"), "test": ("test",)}
SHARES = (0.70, 0.15, 0.15)  # train, validation, test, where DIR has class folders only
LEAST_PER_CLASS = 5  # of images, so that each of the three parts has one of every class
MEMORY = 2**31  # bytes of decoded images up to which they are kept in memory
SAMPLE = 2_000  # training images, at most, that mean and standard deviation are of
SEED = 0  # of the choice of these


@register(
    name="folder",
    provenance="images in a folder of the user's",
    augmentation=(Turns(), Mirrors()),
    protocol=Protocol("AdamW", 4e-3, "one_cycle", weight_decay=0.02, batch_size=16, epochs=30),
    located=True,
    keys=(
        Key(
            "image_size",
            int,
            64,
            "side in pixels that images are brought to: the short side is resized to it, the "
            "middle is kept",
            expected="a multiple of 4 in [16, 512]",
            valid=lambda value: 16 <= value <= 512 and value % 4 == 0,
        ),
    ),
)
def folder(root: Path, *, download: bool = True, image_size: int = 64) -> Source:
    """Read ``<root>/<class>/<image>`` or ``<root>/{train,valid,test}/<class>/<image>``.

    Args:
        root: DIR.
        download: unused, there is nothing to download.
        image_size: side in pixels that every image is brought to.

    Returns:
        The splits, and everything that the files tell: classes, channels, mean and standard
        deviation of the training images.

    Raises:
        DataError: a folder that is missing, empty, or of fewer than two classes, or that would be
            left out; a file that is no image; Pillow or tqdm is missing.
    """
    from g_selfatt.datasets.splits import Source

    require("PIL.Image", "folder")
    classes, parts = _find(root)
    channels = _channels(parts["train"])
    counts = _report(root, classes, parts, image_size, channels)
    splits = {split: _split(files, image_size, channels) for split, files in parts.items()}
    mean, std = _statistics(splits["train"])
    fingerprint = f"{counts}; files {_digest(root, parts, splits)}"
    facts: dict[str, Any] = {
        "provenance": f"{root.resolve()}: {fingerprint}",
        "fingerprint": fingerprint,
        "image_size": image_size,
        "in_channels": channels,
        "num_classes": len(classes),
        "classes": classes,
        "mean": mean,
        "std": std,
    }
    return Source(**splits, facts=facts)


def _find(root: Path) -> tuple[tuple[str, ...], dict[str, Files]]:
    """The names of the classes, and the files of every split."""
    if not root.is_dir():
        raise DataError(
            f"{root} is no folder: give --config.data_dir=DIR with images in DIR/<class>/"
        )
    homes = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in SPLITS.items()
    }
    if homes["train"] is None:
        classes = _classes(root)
        if len({word[:2].lower() for name in classes for word in LIKE_SPLIT.findall(name)}) > 1:
            raise DataError(
                f"{root} has the folders {', '.join(classes)}, which look like splits: call them "
                "train, valid and test, or put the folders of the classes there"
            )
        files = list_images(root, classes)
        return classes, dict(zip(SPLITS, _divide(files, SHARES, root, classes), strict=True))
    if homes["test"] is None:
        raise DataError(
            f"{root} has a folder train, but no folder test beside it; a class of that name needs "
            "another one"
        )
    classes = _classes(homes["train"])
    _refuse_others(root, {home.name for home in homes.values() if home}, classes)
    parts = {}
    for split, home in homes.items():
        if home is None:
            continue
        if split != "train" and (there := _classes(home)) != classes:
            raise DataError(
                f"{home} has the classes {', '.join(there)}, train has {', '.join(classes)}"
            )
        parts[split] = list_images(home, classes)
    if homes["validation"] is None:
        share = SHARES[1] / (SHARES[0] + SHARES[1])
        train, validation = _divide(parts["train"], (1 - share, share), root, classes)
        parts |= {"train": train, "validation": validation}
    return classes, {split: parts[split] for split in SPLITS}


def _classes(home: Path) -> tuple[str, ...]:
    names = tuple(sorted(e.name for e in os.scandir(home) if e.is_dir() and not is_hidden(e.name)))
    if len(names) < 2:
        raise DataError(
            f"{home} has {len(names) or 'no'} class folder{'s' * (len(names) != 1)}, expected at "
            f"least 2: images go into {home}/<class>/"
        )
    return names


def _refuse_others(root: Path, splits: set[str], classes: tuple[str, ...]) -> None:
    """DataError where another folder than those of the splits has classes of theirs."""
    others = sorted(
        entry.name
        for entry in os.scandir(root)
        if not (entry.name in splits or is_hidden(entry.name))
        and any(Path(entry, name).is_dir() for name in classes)
    )
    if others:
        raise DataError(
            f"{root} has {', '.join(sorted(splits))}; {', '.join(others)} would be left out, with "
            "classes of the same names: call the folder of validation valid, and put others "
            "elsewhere"
        )


def _divide(
    files: Files, shares: tuple[float, ...], root: Path, classes: tuple[str, ...]
) -> list[Files]:
    """Parts of these shares, in each of which every class has its share, and one image at least.

    The images of a class are ranked by a digest of their names, and the last part takes the first
    of them: so images that are added move others at the borders of the parts only.
    """

    def rank(file: tuple[str, int]) -> bytes:
        return hashlib.sha256(os.fsencode(os.path.relpath(file[0], root))).digest()

    counts = Counter(label for _, label in files)
    if min(counts.values()) < LEAST_PER_CLASS:
        small = ", ".join(
            f"{name} ({counts[label]})"
            for label, name in enumerate(classes)
            if counts[label] < LEAST_PER_CLASS
        )
        raise DataError(
            f"{root}: too few images to be divided into training, validation and test: {small}; it "
            f"takes at least {LEAST_PER_CLASS} of each class, or folders train, valid and test"
        )
    parts: list[Files] = [[] for _ in shares]
    for label, of_class in groupby(files, key=itemgetter(1)):
        left = sorted(of_class, key=rank)
        for part, share in zip(parts[:0:-1], shares[:0:-1], strict=True):  # the last goes first
            size = max(round(share * counts[label]), 1)
            part += sorted(left[:size])
            left = left[size:]
        parts[0] += sorted(left)
    return parts


def _channels(files: Files) -> int:
    """1 where all images are grey, else 3; only their heads are read."""
    for path, _ in files:
        try:
            with open_image(path) as image:
                if image.mode not in ("1", "L", "LA"):
                    return 3
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({one_line(error)}): replace it") from error
    return 1


def _split(files: Files, size: int, channels: int) -> Split:
    """Decoded once where that fits in memory, else read when asked for."""
    from g_selfatt.datasets.splits import FolderSplit

    read = functools.partial(read_image, size=size, channels=channels)
    lazy = FolderSplit(files, read, (size, size, channels))
    return lazy if len(files) * size * size * channels > MEMORY else lazy.decoded()


def _statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixel/255 by channel; 1 for a channel that never changes."""
    import torch

    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(SEED))[:SAMPLE]
    totals = []
    for index in chosen.tolist():
        pixels = split[index][0].flatten(1).long()  # (C, H·W); whole numbers are added exactly
        totals.append(torch.stack([pixels.sum(1), pixels.square().sum(1)]))
    count = len(totals) * pixels.shape[1]
    sums, squares = torch.stack(totals).sum(0).tolist()  # Python's integers do not overflow
    spreads = (count * square - total**2 for total, square in zip(sums, squares, strict=True))
    std = tuple(math.sqrt(spread) / (255 * count) or 1.0 for spread in spreads)
    return tuple(total / (255 * count) for total in sums), std


def _digest(root: Path, parts: dict[str, Files], splits: dict[str, Split]) -> str:
    """What changes when an image comes, goes, or is of another class, split or size in bytes.

    And, in a split that is in memory, when it has other pixels.
    """
    from g_selfatt.datasets.splits import TensorSplit

    digest = hashlib.sha256()
    for name, files in parts.items():
        for path, _ in files:
            there = os.path.relpath(path, root)
            digest.update(os.fsencode(f"{name}/{there} {os.path.getsize(path)}\n"))
        if isinstance(split := splits[name], TensorSplit):
            digest.update(split.images.flatten().numpy())
    return digest.hexdigest()[:8]


def _report(
    root: Path, classes: tuple[str, ...], parts: dict[str, Files], size: int, channels: int
) -> str:
    """Log what was found."""
    counts = ", ".join(f"{len(files)} {split}" for split, files in parts.items())
    labels = [label for _, label in parts["train"]]
    by_class = {name: labels.count(label) for label, name in enumerate(classes)}
    colours = "grey" if channels == 1 else "colour"
    logger.info("%s: %s images, %s, %d×%d pixels", root, counts, colours, size, size)
    logger.info("training images: %s", ", ".join(f"{n} {name}" for name, n in by_class.items()))
    return counts
