"""Files that are whole or not there: the one way in which this repository writes them."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Lend a temporary path that becomes ``path`` if the block succeeds, and vanishes if not.

    Whoever looks meanwhile finds the old file or the new one, whole. Missing folders are made.

    Args:
        path: the file to write.
        previous: where the old file goes, if there is one; None to drop it.

    Raises:
        OSError: it cannot be written; the old content is still there, and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A process in another container can have the same number.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut leaves a renamed file without its content
        if previous and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
    except OSError as error:  # the system names no file where it is a write that fails
        if error.errno not in _FULL:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
