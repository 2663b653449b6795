"""Train and evaluate group equivariant self-attention networks.

    python main.py --config.dataset=rotMNIST --config.model=p4sa

`python main.py --help` lists the keys.
"""

import logging
import os
import sys
from collections.abc import Sequence

import training
from training import command_line
from training.errors import ExpectedStop, Termination
from training.stopping import drop_output


def main(arguments: Sequence[str]) -> int:
    """Do what a command line asks.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code: 0; 1 where the loss is not finite; 2 for a mistake of the user's; 130 after
        Ctrl-C, 143 after SIGTERM.
    """
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(message)s")
    if {"-h", "--help", "-help", "--helpfull"} & set(arguments):
        try:
            print(command_line.help_text(), flush=True)
        except BrokenPipeError:  # `--help | head`
            drop_output()
        return 0
    try:
        config = command_line.parse(arguments)
        # Slow to import, with what follows: --help and a misspelt key are answered before.
        from tqdm.contrib.logging import logging_redirect_tqdm

        with logging_redirect_tqdm():  # a line of the log goes above a progress bar
            training.run(config)
    except ExpectedStop as stop:
        if first or not stop.everywhere:
            print(stop, file=sys.stderr)
        return stop.exit_code
    except Termination:
        print("terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
