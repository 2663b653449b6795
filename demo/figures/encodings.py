"""How far a group self-attention layer is from equivariance, for every group encoding and group.

Of one layer with random weights in float64: max|N(h·x) − h·N(x)| / max|N(x)|, the worst over the
elements h that map the pixel grid to itself.
"""

from __future__ import annotations

from pathlib import Path

import torch

from demo import style
from g_selfatt import groups
from g_selfatt.functional import GROUP_ENCODINGS
from g_selfatt.nn import GroupLocalSelfAttention
from g_selfatt.testing import equivariance_error

GROUPS = ("p4", "p8", "mz2", "p4m", "p8m")
EXACT, BROKEN = 1e-12, 1e-4  # below is rounding, above is no longer equivariant
LABELS = {"paper": "paper\n(released code)"}
MARKERS = ("o", "s", "D", "^", "v")


def worst_error(name: str, group_encoding: str) -> float:
    """The relative equivariance error of a 5×5 layer on a 12×12 map, float64, seed 0."""
    torch.manual_seed(0)
    group = groups.get(name)
    layer = GroupLocalSelfAttention(group, 6, 6, 6, 2, 5, 0.0, group_encoding=group_encoding)
    x = torch.randn(1, 6, group.num_elements, 12, 12, dtype=torch.float64)
    return max(equivariance_error(layer.double(), group, x).exact.values())


def draw(folder: Path) -> Path:
    """Draw a column of markers for each encoding, one marker for each group."""
    figure = style.card("The released code's group encoding is not equivariant", 4.2)
    axis = figure.add_axes((0.13, 0.17, 0.68, 0.68))
    style.quiet(axis)
    axis.set(yscale="log", ylim=(1e-17, 10), xlim=(-0.5, len(GROUP_ENCODINGS) - 0.5))
    axis.axhspan(1e-17, EXACT, color=style.BLUE, alpha=0.12, lw=0)
    axis.axhspan(BROKEN, 10, color=style.ORANGE, alpha=0.15, lw=0)
    axis.text(1, 1e-13, "exact", fontsize=16, color=style.BLUE, weight="bold", ha="center")
    axis.text(
        1, 1e-2, "not equivariant", fontsize=16, color=style.ORANGE, weight="bold", ha="center"
    )
    for column, encoding in enumerate(GROUP_ENCODINGS):
        for row, (name, marker) in enumerate(zip(GROUPS, MARKERS, strict=True)):
            error = worst_error(name, encoding)
            axis.plot(
                column + 0.13 * (row - 2),
                error,
                marker=marker,
                color=style.BLUE if error < EXACT else style.ORANGE,
                ms=9,
                mec="white",
                ls="",
            )
    ticks = [LABELS.get(encoding, encoding) for encoding in GROUP_ENCODINGS]
    axis.set_xticks(range(len(ticks)), ticks)
    axis.set_yticks([10.0**n for n in (-16, -12, -8, -4, 0)])
    axis.set_ylabel("error of a turned layer", fontsize=style.SIZE, color=style.INK)
    axis.grid(axis="x", visible=False)
    handles = [
        axis.plot([], [], marker=marker, color=style.GREY, ls="", ms=9, label=name)[0]
        for name, marker in zip(GROUPS, MARKERS, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="center right",
        fontsize=style.SIZE,
        frameon=False,
        title="group",
        title_fontsize=style.SIZE,
        bbox_to_anchor=(0.99, 0.52),
        handletextpad=0.2,
    )
    return style.save(figure, folder / "encodings.png")
