"""The measurements as a table to read and as JSON to keep."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.cases import REFERENCE, Bars, Case
from benchmarks.measurement import Comparison, Measurement, compare
from benchmarks.rates import Rates

COLUMNS = (
    ("case", 24),
    ("backend", 10),
    ("forward ms", 10),
    ("step ms", 9),
    ("memory MB", 9),
    ("× faster", 8),
    ("× less memory", 13),
    ("floor ms", 8),
    ("× floor", 7),
)
MEANINGS = {True: "met", False: "MISSED", None: "not measured"}


def header() -> str:
    """The first line of the table."""
    return _line([name for name, _ in COLUMNS], "bars")


def rows(case: Case, measurements: list[Measurement]) -> list[str]:
    """The lines of one case; the reference's comes first."""
    reference = measurements[0]
    return [
        _row(measured, compare(reference, measured, case.bars), case.bars)
        for measured in measurements
    ]


def as_json(case: Case, measurements: list[Measurement]) -> list[dict[str, object]]:
    """One object for each backend; times in milliseconds, memory in bytes."""
    objects: list[dict[str, object]] = []
    for measured in measurements:
        compared = compare(measurements[0], measured, case.bars)
        figures = asdict(measured) | {
            "times_floor": measured.times_floor,
            "times_faster": compared.faster,
            "times_less_memory": compared.less_memory,
        }
        if measured.backend != REFERENCE:
            figures |= {"bars": asdict(case.bars), "bars_met": compared.met}
        objects.append(figures)
    return objects


def rates_line(rates: Rates) -> str:
    """What the floors were computed from."""
    return (
        f"peak rates: {rates.multiply_adds / 1e9:.0f}·10⁹ float32 multiply-adds/s, "
        f"{rates.bytes / 1e9:.0f}·10⁹ bytes/s"
    )


def _row(measured: Measurement, compared: Comparison, bars: Bars) -> str:
    is_reference = measured.backend == REFERENCE
    memory = measured.memory_bytes
    cells = [
        measured.case,
        measured.backend,
        _number(measured.forward_ms),
        _number(measured.step_ms),
        _number(None if memory is None else memory / 1e6),
        "" if is_reference else _number(compared.faster),
        "" if is_reference else _number(compared.less_memory),
        _number(measured.floor_ms),
        _number(measured.times_floor),
    ]
    if measured.out_of_memory:
        return _line(cells, "OUT OF MEMORY")
    return _line(cells, "" if is_reference else _verdicts(compared, bars))


def _verdicts(compared: Comparison, bars: Bars) -> str:
    wanted = {"step": f"step {bars.step:g}×", "aim": f"aim {bars.aim or 0:g}×"}
    wanted |= {"memory": f"memory {bars.memory or 0:g}×"}
    wanted |= {"outlives": "runs where the reference is out of memory"}
    return ", ".join(f"{wanted[name]} {MEANINGS[met]}" for name, met in compared.met.items())


def _number(value: float | None) -> str:
    """Three digits, or more where the number is larger."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _line(cells: list[str], last: str) -> str:
    """Names to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=True))
    ]
    return "  ".join([*padded, last]).rstrip()
