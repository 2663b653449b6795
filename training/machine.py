"""What a figure was computed on."""

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The name of the processor."""
    if CPUINFO.exists() and (
        found := re.search(r"^model name\s*: (.+)$", CPUINFO.read_text(), re.MULTILINE)
    ):
        return found[1].strip()
    return platform.processor() or platform.machine()
