"""One process at a time in a run folder: a lock that the system frees when its process dies."""

import datetime
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from training.errors import UserError

logger = logging.getLogger(__name__)
LOCK = "run.lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep every other process out of a run folder.

    Args:
        folder: exists.

    Raises:
        UserError: another process holds it; the line says which, and since when.
    """
    path = folder / LOCK
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    with _locked(path) as file:
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> TextIO:
    """The file, open and locked by this process.

    The lock is fcntl's of a whole file: workers that this process forks do not inherit it.
    """
    while True:
        file = open(path, "a+")  # noqa: SIM115  the caller closes it
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read() or "another process"
            file.close()
            raise UserError(
                f"{path.parent} is in use by {holder}; wait for it or end it, "
                "or give another run folder by --config.path"
            ) from None
        except OSError as error:  # some network file systems have no locks
            logger.warning("%s cannot be locked (%s): start nothing else there", path, error)
            return file
        try:
            ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            ours = False
        if ours:
            file.truncate(0)
            return file
        file.close()  # its holder had ended and removed it while it was being opened
