"""Growth: a small curve is measured as far as memory reaches, and drawn."""

import io

import pytest

from benchmarks import growth
from benchmarks.growth_pictures import Curve, draw
from benchmarks.worker import CLEAR_REFS


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="measured on Linux only")
def test_a_curve_ends_where_memory_does(capsys):
    steps = {side: {"group": "p2", "side": side} for side in (16, 2**20)}
    curves = growth.measure_curves(steps, "cpu", 1, 1)
    assert list(curves) == [
        "reference (as far as 8 GB reach)",
        "numba (as far as 8 GB reach)",
    ]
    for curve in curves.values():
        assert curve.sizes == [16] and curve.seconds[0] > 0 and 0.1 < curve.megabytes[0] < 100
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[1].endswith("out of memory")


def test_the_picture_shows_every_curve():
    curves = {
        "reference": Curve([1, 2], [1.0, 8.0], [10.0, 80.0]),
        "numba": Curve([1, 2, 4], [0.1, 0.2, 0.4], [1.0, 2.0, 4.0]),
    }
    figure = draw(curves, "a layer", "elements", ("linear in |H|", 1))
    time, memory = figure.axes
    assert [line.get_ydata().tolist() for line in time.lines] == [
        [1.0, 8.0],
        [0.1, 0.2, 0.4],
        [0.05, 0.1, 0.2],
    ]
    assert memory.lines[0].get_ydata().tolist() == [10.0, 80.0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["reference", "numba", "linear in |H|"]
    file = io.BytesIO()
    figure.savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")


def test_no_folder_is_a_mistake(capsys, tmp_path):
    (tmp_path / "file").touch()
    for arguments, expected in (
        ([], "the following arguments are required: --out"),
        (["--out", str(tmp_path / "file" / "in")], "Not a directory"),
    ):
        with pytest.raises(SystemExit) as stop:
            growth.main(arguments)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1
