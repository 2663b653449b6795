"""Tensors as pictures of the page: tiles with names at their sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor

from demo import style

TILE, GAP, HEAD, SIDE = 96, 6, 22, 280  # pixels
INK = "#808080"  # read on white and on black


def grey(pixels: Tensor) -> Image.Image:
    """An image ``(C, H, W)`` in [0, 1], large enough to see its pixels."""
    values = (pixels.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    image = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)


def mark(image: Image.Image, pixel: tuple[int, int], size: int) -> None:
    """Frame a pixel, by row and column, of an image that had ``size`` of them a side."""
    row, column = pixel
    corners = [column, row, column + 1, row + 1]
    box = [i * SIDE / size for i in corners]
    ImageDraw.Draw(image).rectangle(box, outline="#D55E00", width=3)


def curves(angles: Sequence[int], lines: Mapping[str, Sequence[float]]) -> Figure:
    """Probabilities over the angle of the image, a line for each name; read on a phone too."""
    figure = Figure(figsize=(style.WIDTH, 3.3), facecolor=style.CARD, layout="constrained")
    axis = figure.subplots()
    style.quiet(axis)
    for (name, values), colour, line in zip(
        lines.items(), style.COLOURS, style.LINES, strict=False
    ):
        axis.plot([*angles, 360], [*values, values[0]], color=colour, ls=line, lw=2.5, label=name)
    axis.set(xlim=(0, 360), ylim=(-0.02, 1.02), xticks=range(0, 361, 45))
    axis.set_xlabel("angle of the image, degrees", fontsize=style.SIZE)
    axis.set_ylabel("probability", fontsize=style.SIZE)
    figure.legend(loc="outside upper center", ncols=3, fontsize=style.SIZE, frameon=False)
    return figure


def tiles(
    maps: Tensor, rows: Sequence[str], columns: Sequence[str], behind: Tensor | None = None
) -> Image.Image:
    """Maps on one scale of colours, with a name for each row and column.

    Args:
        maps: ``(rows, columns, H, W)``.
        rows, columns: their names.
        behind: a grey image ``(H, W)`` in [0, 1] that is seen where a map is low.
    """
    low, high = maps.min(), maps.max()
    scaled = ((maps - low) / (high - low).clamp_min(1e-12)).numpy()
    shades = matplotlib.colormaps["inferno"](scaled)[..., :3]
    if behind is not None:
        alpha = np.sqrt(scaled)[..., None]
        shades = alpha * shades + (1 - alpha) * 0.6 * behind.numpy()[..., None]
    colours = (shades * 255).astype(np.uint8)
    step, left = TILE + GAP, 9 * max(map(len, rows)) + GAP
    picture = Image.new("RGBA", (left + step * len(columns), HEAD + step * len(rows)))
    pen = ImageDraw.Draw(picture)
    for c, name in enumerate(columns):
        pen.text((left + step * c + TILE / 2, HEAD / 2), name, INK, anchor="mm", font_size=16)
    for r, name in enumerate(rows):
        pen.text((0, HEAD + step * r + TILE / 2), name, INK, anchor="lm", font_size=16)
        for c in range(len(columns)):
            tile = Image.fromarray(colours[r, c]).resize((TILE, TILE), Image.Resampling.NEAREST)
            picture.paste(tile, (left + step * c, HEAD + step * r))
    return picture
