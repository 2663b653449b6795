"""Growth: a small curve is measured as far as memory reaches, and written."""

import pytest

from benchmarks import growth
from benchmarks.worker import CLEAR_REFS


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="measured on Linux only")
def test_a_curve_ends_where_memory_does(capsys):
    fits, lacks = growth.measure_sides("numba", (16, 2**20), "cpu", 1, 1)
    assert fits["seconds"] > 0 and 0.1 < fits["megabytes"] < 100
    assert lacks == {"backend": "numba", "side": 2**20, "seconds": None, "megabytes": None}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].endswith("out of memory")


def test_no_folder_is_a_mistake(capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        growth.main(["--json", str(tmp_path / "none" / "growth.json")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "there is no such folder" in error and error.count("\n") == 1
