"""Draw every picture of README and docs/ from the weights and figures in the repository.

python -m demo.figures            make pictures
python -m demo.figures cost       only this one
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import demo.figures
from demo.style import PICTURES


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks; returns the exit code."""
    names = [m.name for m in iter_modules(demo.figures.__path__) if not m.name.startswith("_")]
    parser = argparse.ArgumentParser(
        prog="python -m demo.figures",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)} (all)")
    parser.add_argument("--out", type=Path, default=PICTURES, help="a folder (docs/pictures)")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in names:
            parser.error(f"there is no picture {name!r}; choose from {', '.join(names)}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.names or names:
            print(f"drew {import_module(f'demo.figures.{name}').draw(options.out)}", flush=True)
    except OSError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
