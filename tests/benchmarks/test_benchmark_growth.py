"""Growth: a small curve measured and cut where memory would end, the promise, the picture."""

import io

import pytest

from benchmarks import growth
from benchmarks.growth import Cost, Point, measure_curve, promise
from benchmarks.growth_pictures import Curve, draw
from benchmarks.memory import CLEAR_REFS, Memory


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="measured on Linux alone")
def test_a_curve_ends_where_memory_would(capsys):
    small, large = Point("p2", 16), Point("p2", 64)
    costs = measure_curve([small, large], "reference", "cpu", 1, 1, affordable_bytes=1e8)
    assert list(costs) == [small]
    assert costs[small].step_ms > 0
    assert 1e5 < costs[small].memory.step < 1e8
    printed = capsys.readouterr().out
    expected = costs[small].memory.step * 16 / 1e9
    assert printed.splitlines()[1].endswith(f"not tried: about {expected:.1f} GB")


def test_scores_grow_with_the_pixels_and_the_cube_of_the_group():
    assert Point("p4", 64).scores == 4 * Point("p4", 32).scores
    assert Point("p8", 32).scores == 8 * Point("p4", 32).scores


@pytest.mark.parametrize("process_bytes, verdict", [(1.99e9, "met"), (2e9, "MISSED")])
def test_promise(process_bytes, verdict):
    line = promise({Point("p4", 256): Cost(1.0, Memory(5 * 10**8, int(process_bytes)))}, "cpu")
    assert f"trains in under 2 GB: {verdict} (process {process_bytes / 1e9:.2f} GB" in line


def test_a_promise_that_ran_out_of_memory():
    assert promise({}, "cuda").endswith("p4 layer trains in under 20 GB: MISSED (out of memory)")


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
        (["--out", str(tmp_path / "file" / "in")], "cannot make"),
    ):
        with pytest.raises(SystemExit) as stop:
            growth.main(arguments)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1
