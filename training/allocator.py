"""Memory: what is freed stays with the process, and what its end looks like.

A training step asks for what the last one freed.
"""

import ctypes

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's names for them, from malloc.h
LARGEST_KEPT = 32 * 2**20  # bytes of one allocation; the most that glibc takes by itself


def keep_freed_memory() -> bool:
    """Let glibc keep up to 64 MiB that were freed, rather than give them back after every step.

    The system fills memory with zeros, page by page, each time it hands it out again: 3 to 8 % of a
    step of rotMNIST's networks on a CPU.

    Returns:
        Whether this process runs on glibc; elsewhere nothing changes.
    """
    # Looked up in torch and what it is linked with: None can be given on Linux only.
    set_option = getattr(ctypes.CDLL(torch._C.__file__), "mallopt", None)
    if set_option is None:
        return False
    kept = set_option(MMAP_THRESHOLD, LARGEST_KEPT)
    return bool(kept and set_option(TRIM_THRESHOLD, 2 * LARGEST_KEPT))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that there is no more memory, on a CPU or a GPU."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)  # torch on a CPU
