import ctypes
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import resource, torch
from training.allocator import keep_freed_memory
keeps = keep_freed_memory()
def step():  # several tensors that live at once, as in a network
    return [torch.ones(2**19) for _ in range(20)]
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(int(keeps), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages():
    """What `keep_freed_memory` says, and the pages that the system handed out in ten steps."""
    command = [sys.executable, "-c", PROGRAM]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return map(int, output.stdout.split())


def test_a_step_reuses_the_memory_of_the_last():
    keeps, kept = pages()
    assert keeps == hasattr(ctypes.CDLL(None), "mallopt")
    assert kept < 512 or not keeps  # pages of one tensor; otherwise mostly those of all, 102,400


def test_the_end_of_memory_is_one_line(tmp_path):
    """Global attention of the reference, in 6 GB of addresses."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (6 * 10**9,) * 2)"
    keys = {"attention_type": "Global", "backend": "reference", "batch_size": 512}
    line = [f"--config.{key}={value}" for key, value in keys.items()]
    program = f"{limit}; import sys, main; sys.exit(main.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, f"--config.save_dir={tmp_path}", *line]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "out of memory: take a smaller --config.batch_size" in done.stderr
    assert "Traceback" not in done.stderr
