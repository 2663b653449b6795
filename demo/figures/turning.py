"""Turn a digit and watch the feature maps of p4sa turn with it, and those of z2sa not.

An animation of 24 steps of 15°, the digit f on the left. Above, one channel of a trained p4sa after
its first block, at the four elements of the group: the maps turn with the digit and move along the
group axis. A frame marks the map that began at h = 0°. Beneath, one channel of z2sa, what turning
its first map would give, and the difference. The channels are those that show it best: in p4sa the
maps differ most over the group, in z2sa the difference is largest at multiples of 90°.

On the right, the error max|N(θ·f) − θ·N(f)| / max|N(f)| over all channels. At multiples of 90° the
pixels are permuted and it is only the network's. At the angles between, where no element of the
group turns by θ, the image is interpolated bilinearly, the maps move along the group axis as for
the nearest element, and the inscribed disc is compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from demo import style
from demo.networks import example_image, shipped_layers
from g_selfatt import datasets
from g_selfatt.functional import inscribed_disc, transform_plane
from g_selfatt.groups import SE2, Group

DATASET, LAYER = "rotDigits", "block 1"
NUM_ANGLES = 24  # a multiple of 4, so that some frames are exact
COLOURS = {"p4sa": style.BLUE, "z2sa": style.ORANGE}
FRAME = style.PINK
MARKERS = {"p4sa": "o", "z2sa": "s"}
FLOOR = 1e-17  # the lower end of the axis of errors
SIZE = 11
MILLISECONDS = 250  # of a frame
NUM_COLOURS = 192


class Turning(NamedTuple):
    """The feature maps of a network at every angle.

    Attributes:
        maps: N(θ·f), ``(angles, C, |H|, H, W)``.
        expected: θ·N(f), of the same shape.
        errors: max|N(θ·f) − θ·N(f)| / max|N(f)|, one for each angle.
    """

    maps: Tensor
    expected: Tensor
    errors: list[float]


def nearest_element(group: Group, k: int, num_angles: int) -> int:
    """The element of a group of rotations that is nearest to 360°·k/num_angles."""
    return (2 * k * group.num_elements + num_angles) // (2 * num_angles) % group.num_elements


@torch.no_grad()
def measure(network: nn.Module, group: Group, pixels: Tensor, num_angles: int) -> Turning:
    """Turn an image ``(1, C, H, W)`` by 360°·k/num_angles for every k, and compare the maps."""
    upright = network(pixels)
    maps, expected, errors = [], [], []
    for k, matrix in enumerate(SE2(num_angles).matrices):
        along_group = group.multiplication_table[:, nearest_element(group, k, num_angles)]
        of_turned = network(transform_plane(pixels, matrix))
        turned = transform_plane(upright[:, :, along_group], matrix)
        difference = of_turned - turned
        if 4 * k % num_angles:
            difference *= inscribed_disc(difference)
        maps.append(of_turned)
        expected.append(turned)
        errors.append((difference.abs().max() / upright.abs().max()).item())
    return Turning(torch.cat(maps), torch.cat(expected), errors)


def draw_frames(images: Tensor, turnings: dict[str, Turning]) -> list[Image.Image]:
    """One picture for each angle, all of the same few colours; arguments as of `draw_frame`."""
    figure = Figure(figsize=(7.9, 3), dpi=100)
    canvas = FigureCanvasAgg(figure)
    pictures = []
    for k in range(len(images)):
        draw_frame(figure, images, turnings, k)
        canvas.draw()
        pictures.append(np.array(canvas.buffer_rgba())[..., :3])
    # With one palette for all, what stands still takes no room in the file.
    everything = Image.fromarray(np.concatenate(pictures))
    palette = everything.quantize(NUM_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    return [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]


def draw_frame(figure: Figure, images: Tensor, turnings: dict[str, Turning], k: int) -> None:
    """Draw the angle 360°·k/angles, in place of what the figure showed before.

    Args:
        figure: to draw on.
        images: f turned, ``(angles, 1, H, W)``.
        turnings: of p4sa and of z2sa, by name.
        k: number of the angle.
    """
    figure.clear()
    grid = figure.add_gridspec(
        2,
        8,
        width_ratios=[1.4, 0.15, 1, 1, 1, 1, 0.4, 2.3],
        left=0.01,
        right=0.97,
        top=0.9,
        bottom=0.17,
    )
    degrees = 360 * k / len(images)
    axis = figure.add_subplot(grid[:, 0])
    _draw_map(axis, images[k, 0], (0, 1), f"f, θ = {degrees:.0f}°", cmap="gray")
    _draw_p4sa([figure.add_subplot(grid[0, i]) for i in range(2, 6)], turnings["p4sa"], k)
    _draw_z2sa([figure.add_subplot(grid[1, i]) for i in range(2, 5)], turnings["z2sa"], k)
    _draw_errors(figure.add_subplot(grid[:, 7]), turnings, k)


def _draw_p4sa(axes: list[Axes], turning: Turning, k: int) -> None:
    spread = turning.maps[0].std(dim=1).mean(dim=(1, 2)) / turning.maps[0].std(dim=(1, 2, 3))
    maps = turning.maps[:, spread.argmax()]
    began_at_0 = -nearest_element(SE2(len(axes)), k, len(turning.maps)) % len(axes)
    for h, axis in enumerate(axes):
        _draw_map(axis, maps[k, h], _limits(maps), f"h = {360 * h // len(axes)}°")
        if h == began_at_0:
            for spine in axis.spines.values():
                spine.set(color=FRAME, linewidth=4)
    axes[0].set_ylabel("p4sa", fontsize=SIZE, color=COLOURS["p4sa"])


def _draw_z2sa(axes: list[Axes], turning: Turning, k: int) -> None:
    quarter = len(turning.maps) // 4
    difference = turning.maps - turning.expected
    channel = difference[::quarter].abs().amax(dim=(0, 2, 3, 4)).argmax()
    maps, expected = turning.maps[:, channel, 0], turning.expected[:, channel, 0]
    top = difference[::quarter, channel].abs().max().item()
    _draw_map(axes[0], maps[k], _limits(maps), "N(θ·f)")
    _draw_map(axes[1], expected[k], _limits(maps), "θ·N(f)")
    _draw_map(axes[2], difference[k, channel, 0], (-top, top), "difference", cmap="PuOr")
    axes[0].set_ylabel("z2sa", fontsize=SIZE, color=COLOURS["z2sa"])


def _limits(maps: Tensor) -> tuple[float, float]:
    return maps.min().item(), maps.max().item()


def _draw_map(
    axis: Axes, image: Tensor, limits: tuple[float, float], title: str, cmap: str = "viridis"
) -> None:
    axis.imshow(image.numpy(), cmap=cmap, vmin=limits[0], vmax=limits[1])
    axis.set_title(title, fontsize=SIZE)
    axis.set_xticks([])
    axis.set_yticks([])


def _draw_errors(axis: Axes, turnings: dict[str, Turning], k: int) -> None:
    """The errors up to this angle; filled where exact. 0° is left out: nothing is turned."""
    for row, (name, turning) in enumerate(turnings.items()):
        num_angles = len(turning.errors)
        for i, error in enumerate(turning.errors[1 : k + 1], start=1):
            axis.plot(
                360 * i / num_angles,
                error,
                marker=MARKERS[name],
                markersize=9 if i == k else 6,
                color=COLOURS[name],
                markerfacecolor="white" if 4 * i % num_angles else COLOURS[name],
            )
        number = f"{turning.errors[k]:.0e}" if turning.errors[k] else "0"
        text: dict[str, Any] = {
            "transform": axis.transAxes,
            "color": COLOURS[name],
            "fontsize": 1.4 * SIZE,
        }
        axis.text(0.5, 0.6 - 0.15 * row, f"{name}:  {number}", ha="center", **text)
    axis.set_title("equivariance error", fontsize=SIZE)
    axis.set_yscale("log")
    axis.set_ylim(FLOOR, 5)
    axis.set_xlim(0, 360)
    axis.set_xticks(range(0, 361, 90), [f"{angle}°" for angle in range(0, 361, 90)])
    axis.set_xlabel("θ (filled: exact)", fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
    axis.grid(alpha=0.3)


def draw(folder: Path) -> Path:
    """Draw the animation."""
    pixels, _ = example_image(datasets.INFO[DATASET])
    turnings = {
        name: measure(*shipped_layers(name, DATASET, LAYER), pixels, NUM_ANGLES) for name in COLOURS
    }
    images = torch.cat([transform_plane(pixels, matrix) for matrix in SE2(NUM_ANGLES).matrices])
    first, *others = draw_frames(images, turnings)
    options: dict[str, Any] = {"duration": MILLISECONDS, "loop": 0, "optimize": True}
    first.save(folder / "turning.gif", save_all=True, append_images=others, **options)
    return folder / "turning.gif"
