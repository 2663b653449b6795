"""Run notebooks, each in a process forked from this one, which has imported everything.

One line of JSON on the standard input for each: the notebook, its working directory, and a file for
what it prints. Answers with the exit code. With a kernel of Jupyter for each, the imports would
take longer than what most of them compute.
"""

import json
import os
import sys
import traceback

import nbformat
import torch._dynamo  # noqa: F401  an optimizer imports it at its first step
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot

from demo import pictures  # noqa: F401
from g_selfatt import datasets, models  # noqa: F401


def execute(path: str, folder: str) -> None:
    """Run the code cells as a kernel does, figures included; the first error is raised."""
    os.chdir(folder)
    sys.path[0] = ""
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    pyplot.switch_backend("module://matplotlib_inline.backend_inline")
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()


def fork(path: str, folder: str, log: str) -> int:
    """The exit code of a notebook in a process of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1), os.dup2(out, 2)
    code = 1
    try:
        execute(path, folder)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        print(fork(*json.loads(line)), flush=True)
