import ctypes
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import ctypes, resource, sys, torch
if hasattr(ctypes.CDLL(None), "prctl"):
    ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages, which come and go: counts are exact
from training.allocator import keep_freed_memory
keeps = sys.argv[1] == "keep" and keep_freed_memory()
def step():  # several tensors that live at once, as in a network
    return [torch.ones(2**19) for _ in range(20)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(int(keeps), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(argument):
    """What `keep_freed_memory` says, and the pages that the system handed out in ten steps."""
    command = [sys.executable, "-c", PROGRAM, argument]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return map(int, output.stdout.split())


def test_a_step_reuses_the_memory_of_the_last():
    keeps, kept = pages("keep")
    assert keeps == hasattr(ctypes.CDLL(None), "mallopt")
    _, given_back = pages("as it is")
    assert kept < given_back / 10 or not keeps
