"""Files that are whole or not there: the one way in which this repository writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary path that becomes ``path`` if the block succeeds, and vanishes if not.

    Whoever looks meanwhile finds the old file or the new one, whole. Missing folders are made.

    Args:
        path: the file to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut leaves a renamed file without its content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
