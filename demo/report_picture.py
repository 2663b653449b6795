"""Draw what `demo.equivariance_report` measured: error against angle, a colour per encoding."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Okabe and Ito's colours, which colour-blind readers tell apart, each with a line of its own.
STYLES = {
    "equivariant": ("#0072B2", "-"),
    "paper": ("#D55E00", "--"),
    "relative": ("#009E73", "-."),
    "gevit": ("#CC79A7", ":"),
}
MARKERS = {"lifting": "s", "attention": "o", "block": "D", "logits": "*"}
NAMES = {"equivariant": "equivariant (ours)", "paper": "paper (released code)"}
GREY = "#606060"
SIZE = 15  # of all text, to be read at half the width
GAP = 45.0  # degrees between the rotations and the mirrors
FLOOR = 1e-17  # where an error of 0 is drawn


def draw(report: dict[str, Any], tolerance: float) -> Figure:
    """The picture of a report.

    Every element of the group but the identity has a cluster of markers, from the lifting on its
    left to the logits on its right, filled where nothing is interpolated. Mirrors follow the
    rotations. Lines are the logits at the angles between.

    Args:
        report: from `equivariance_report.measure`, or read from report.json.
        tolerance: largest error that rounding explains.
    """
    figure = Figure(figsize=(12, 7), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for number, encoding in enumerate(report["errors"]):
        _draw_logits(axis, report, encoding)
        _draw_layers(axis, report, encoding, number)
    _label_axes(axis, report, tolerance)
    figure.suptitle(
        f"{report['model']} of {report['dataset']}, {report['weights']}, {report['dtype']}",
        fontsize=SIZE,
    )
    figure.legend(
        handles=_legend(report),
        loc="outside lower center",
        ncols=4,
        fontsize=SIZE - 2,
        frameon=False,
    )
    return figure


def _position(element: dict[str, Any]) -> float:
    return element["degrees"] + (360 + GAP) * element["mirror"]


def _draw_logits(axis: Axes, report: dict[str, Any], encoding: str) -> None:
    """Broken where the angle is exact: there the error is another one, and a marker has it."""
    angles = [angle["degrees"] for angle in report["angles"]]
    errors = [
        math.nan if angle["exact"] else max(error, FLOOR)
        for angle, error in zip(report["angles"], report["errors"][encoding]["logits"], strict=True)
    ]
    colour, line = STYLES[encoding]
    axis.plot(angles, errors, color=colour, linestyle=line, lw=1.8)


def _draw_layers(axis: Axes, report: dict[str, Any], encoding: str, number: int) -> None:
    """The clusters of one encoding, the number-th of them a little further right."""
    colour, _ = STYLES[encoding]
    errors = report["errors"][encoding]["layers"]
    layers = report["layers"]
    spacing = 360 / sum(not element["mirror"] for element in report["elements"])
    step = min(spacing, 60) * 0.7 / len(layers)
    for i, layer in enumerate(layers):
        beside = step * (i - (len(layers) - 1) / 2 + 0.25 * number)
        for element, error in zip(report["elements"], errors[layer["name"]], strict=True):
            if element["element"] == 0 or error is None:  # the identity's is 0 by definition
                continue
            filled = element["exact"] and layer["exact"]
            axis.plot(
                _position(element) + beside,
                max(error, FLOOR),
                marker=MARKERS[layer["name"].split()[0]],
                markersize=11 if layer["name"] == "logits" else 7,
                color=colour,
                markerfacecolor=colour if filled else "white",
            )


def _label_axes(axis: Axes, report: dict[str, Any], tolerance: float) -> None:
    mirrors = [element for element in report["elements"] if element["mirror"]]
    ticks = {float(angle): f"{angle}°" for angle in (0, 90, 180, 270, 360)}
    for element in mirrors:
        if element["degrees"] % 90 == 0:
            name = f"{element['degrees']:g}°·m" if element["degrees"] else "m"
            ticks[_position(element)] = name
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xlabel(
        "transformation of the image: rotation" + (", m a mirror" if mirrors else ""),
        fontsize=SIZE,
    )
    if mirrors:
        axis.axvline(360 + GAP / 2, color=GREY, lw=1)
    axis.set_xlim(-15, 375 + (330 + GAP / 2) * bool(mirrors))
    axis.set_yscale("log")
    axis.set_ylim(FLOOR / 2, 3)
    axis.set_ylabel("relative equivariance error", fontsize=SIZE)
    axis.axhline(tolerance, color=GREY, lw=1.5, linestyle=":")
    axis.text(0, 1.5 * tolerance, f"tolerance {tolerance:.0e}", color=GREY, fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
    axis.grid(alpha=0.3)


def _legend(report: dict[str, Any]) -> list[Line2D]:
    """The encodings, the kinds of layers, and what is exact."""
    handles = []
    for encoding in report["errors"]:
        colour, line = STYLES[encoding]
        label = NAMES.get(encoding, encoding)
        handles.append(Line2D([], [], color=colour, ls=line, marker="o", ms=8, label=label))
    handles += [
        Line2D([], [], color=GREY, ls="", marker=marker, ms=9, label=kind)
        for kind, marker in MARKERS.items()
    ]
    handles.append(Line2D([], [], color=GREY, ls="", marker="o", ms=9, label="filled: exact"))
    hollow = [] if all(element["exact"] for element in report["elements"]) else ["interpolated"]
    hollow += [] if all(layer["exact"] for layer in report["layers"]) else ["unevenly pooled"]
    handles.append(Line2D([], [], color=GREY, label="line: logits, interpolated"))
    if hollow:
        label = f"hollow: {' or '.join(hollow)}"
        handles.append(
            Line2D([], [], color=GREY, ls="", marker="o", ms=9, mfc="white", label=label)
        )
    return handles
