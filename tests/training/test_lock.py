"""One process at a time in a run folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import folder_of

from training.errors import UserError
from training.lock import LOCK, hold

REPOSITORY = Path(__file__).parents[2]


def test_a_second_start_says_who_is_at_work_and_since_when(configure, run, tmp_path):
    folder = folder_of(configure())
    folder.mkdir(parents=True)
    program = "import sys, pathlib; from training.lock import hold\n"
    program += "with hold(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError) as caught:
        run()
    expected = rf"{folder} is in use by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:"
    assert re.match(expected, str(caught.value))
    assert caught.value.exit_code == 2
    holder.kill()  # the system frees the lock
    holder.wait()
    assert (folder / LOCK).exists()
    run("epochs=1", f"path={folder}")
    assert not (folder / LOCK).exists()


def test_a_forked_worker_does_not_keep_the_folder(tmp_path):
    with hold(tmp_path):
        reading, writing = os.pipe()
        if not (child := os.fork()):
            os.read(reading, 1)
            os._exit(0)
    program = "import sys, pathlib; from training.lock import hold\nwith hold(pathlib.Path('.')): 0"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    os.write(writing, b".")
    os.waitpid(child, 0)
