"""Kill one training again and again; in the end its weights are those of one never killed.

    python -m tests.training.kills --kills 20 --config.model=p4sa

Each life is forked from a process that has imported everything and computed nothing. It is killed
by SIGKILL at a file operation in its run folder, before it or some milliseconds later. Options of
`python main.py` come after.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch._dynamo  # noqa: F401  an optimizer imports it at its first step: once, not in every life

import training
from g_selfatt import datasets
from tests.training.small_runs import figures
from training import command_line, settings
from training.run_folder import CONFIG, CONFUSION, CURVES, METRICS, WEIGHTS

IMAGES = 160  # of each split
OPERATIONS = ("open", "os.rename", "os.remove")
START = 6  # operations of a life before its first step


def life(config, log: Path, kill_at: int | None = None, delay: float = 0.0) -> tuple[int, int]:
    """Start the run, or go on with it, in a process of its own.

    Args:
        config: resolved and checked.
        log: what the process says is added here.
        kill_at: number of the file operation at which it is killed; None for never.
        delay: seconds from the operation to the kill.

    Returns:
        The exit code, negative for a signal, and the number of file operations where it ended by
        itself.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        count = 0

        def at_file_operation(event: str, arguments: tuple) -> None:
            nonlocal count
            if event in OPERATIONS and str(arguments[0]).startswith(config.path):
                count += 1
                if count == kill_at:
                    me = os.getpid()
                    if delay and os.fork():
                        return
                    time.sleep(delay)
                    os.kill(me, signal.SIGKILL)
                    os._exit(0)

        sys.addaudithook(at_file_operation)
        code = 1
        try:
            training.run(config)
            code = 0
        finally:
            os.write(writing, str(count).encode())
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        _, status = os.waitpid(child, 0)
        count = pipe.read()
    return os.waitstatus_to_exitcode(status), int(count or 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.training.kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options, overrides = parser.parse_known_args(arguments)
    few = datasets.load("rotDigits", limit=IMAGES)
    load, datasets.load = datasets.load, lambda *_, **__: few  # once, not in every life
    with tempfile.TemporaryDirectory(prefix="g_selfatt-kills-") as place:

        def config(name: str):
            given = ["checkpoint_minutes=1e-9", "epochs=2", f"path={place}/{name}", "device=cpu"]
            given = [f"--config.{override}" for override in given]
            resolved = settings.resolve(command_line.parse([*given, *overrides]))
            settings.check(resolved)
            return resolved

        code, operations = life(config("whole"), Path(place, "whole.log"))
        if code:
            print(Path(place, "whole.log").read_text())
            return 1
        chosen = random.Random(options.seed)
        log = Path(place, "killed.log")
        # each life gets past its start, and a little less far on average than the run allows
        furthest = START + 3 * operations // (2 * options.kills)
        for number in range(options.kills):
            at, delay = chosen.randint(1, furthest), chosen.choice([0.0, chosen.uniform(0, 0.02)])
            code, _ = life(config("killed"), log, at, delay)
            print(f"kill {number + 1}: file operation {at}, {1000 * delay:.0f} ms later: {code}")
            if code != -signal.SIGKILL:
                print(log.read_text())
                return 1
        code, _ = life(config("killed"), log)
        print(log.read_text() if code else log.read_text().splitlines()[-1])
        whole, killed = Path(place, "whole"), Path(place, "killed")
        same = not code and figures(whole) == figures(killed)
        left = sorted(path.name for path in killed.iterdir())
        print(f"the same to the bit: {same}; in the folder: {', '.join(left)}")
    datasets.load = load
    files = sorted([METRICS, WEIGHTS, CONFIG, CURVES, CONFUSION])
    return 0 if same and left == files else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
