"""The picture of what a network takes for what."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from g_selfatt.datasets.files import replacing
from training.run_folder import printable

_WITH_NUMBERS = 30  # classes up to which every cell has its number
_WITH_NAMES = 200  # classes up to which they are named; more would take gigabytes
_LONGEST = 24  # characters of a class name


def draw(path: Path, title: str, confusion: Tensor, classes: Sequence[str]) -> None:
    """Write a confusion matrix as a PNG: of the images of each class, the shares of the answers.

    Args:
        path: the file.
        title: name of the run.
        confusion: images by class and answer ``(K, K)``.
        classes: K names.
    """
    # no pyplot figure: no window system is touched, and nothing stays open
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    images = confusion.sum(dim=1)
    shares = (confusion / images.clamp_min(1)[:, None]).numpy()
    names = [_short(name) for name in classes]
    side = 3.6 + max(0.19, 0.6 - 0.02 * len(names)) * min(len(names), _WITH_NAMES)  # inches
    figure = Figure(figsize=(side + 1, side), layout="constrained", dpi=100)
    axes = figure.subplots()
    ConfusionMatrixDisplay(shares, display_labels=names).plot(
        ax=axes,
        cmap="Blues",
        include_values=len(names) <= _WITH_NUMBERS,
        values_format=".0%",
        xticks_rotation="vertical",
        im_kw={"vmin": 0, "vmax": 1},
        text_kw={"fontsize": 8},
    )
    if len(names) > _WITH_NAMES:
        axes.set(xticks=[], yticks=[])
    else:
        counts = zip(names, images.tolist(), strict=True)
        axes.set_yticklabels([f"{name} ({count})" for name, count in counts])
    axes.tick_params(labelsize=9 if len(names) <= _WITH_NUMBERS else 7)
    axes.set(xlabel="answer", ylabel="class (test images)")
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # `$x^y$` is no formula
    figure.suptitle(printable(title), parse_math=False)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of each name in other scripts
        figure.savefig(temporary, format="png")


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
