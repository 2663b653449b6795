"""The time that is left of a run."""

from __future__ import annotations

import time

from training.progress import Pace


def test_what_comes_before_the_first_look_is_not_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace(total=20)
    now[0] = 1000.0  # compiling
    assert pace.left(11) == "?"
    now[0] += 4
    assert pace.left(13) == "00:14"  # 2 s for each of the 7 steps that are left
