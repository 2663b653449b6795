"""Files that are either whole and verified or not there at all."""

from __future__ import annotations

import hashlib
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from g_selfatt.datasets.errors import DataError, one_line, require
from g_selfatt.datasets.files import replacing

# Seconds without a byte after which a server counts as gone.
TIMEOUT = 30


def obtain(url: str, path: Path, md5: str, *, download: bool = True) -> None:
    """See to it that ``path`` is there with the right md5, downloading it from ``url`` if absent.

    Raises:
        DataError: it is absent and may not or cannot be downloaded, or has another md5. A
            download that fails leaves nothing behind; a file that was there is left alone.
    """
    if path.exists():
        _verify(path, md5, f"{path}", f"delete it, or replace it by {url}")
    elif not download:
        raise DataError(f"{path} is missing: download it from {url} and put it there")
    else:
        try:
            with replacing(path) as temporary:
                _stream(url, temporary)
                _verify(temporary, md5, f"download of {url}", f"try again, or put it at {path}")
        except (OSError, HTTPException) as error:
            raise DataError(
                f"{url} cannot be downloaded ({one_line(error)}): "
                f"fetch it on another machine and put it at {path}"
            ) from error


def _stream(url: str, path: Path) -> None:
    tqdm = require("tqdm", "a download").tqdm
    with urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
        # disable=None: a bar on a terminal, silence in a log file.
        bar = {"total": response.length, "desc": url.rpartition("/")[2], "disable": None}
        with tqdm.wrapattr(response, "read", **bar) as body:
            shutil.copyfileobj(body, file)


def _verify(path: Path, md5: str, what: str, advice: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != md5:
        raise DataError(
            f"{what} is truncated or altered (md5 {digest.hexdigest()}, expected {md5}): {advice}"
        )
