"""The state of an unfinished run on disk: the last one, and the one before in case of damage.

A state file is a line with the SHA-256 of what follows, then what `torch.save` writes.
"""

import hashlib
import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from training.errors import UserError
from training.run_folder import FINAL, PREVIOUS_STATE, STATE, differences, write_atomic

logger = logging.getLogger(__name__)
_FIRST_LINE = "g_selfatt state, sha256 {}\n"


class _Damaged(Exception):
    """A state file that is not what `save_state` wrote; the message is the reason."""


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run, and keep the one before.

    Args:
        folder: the run folder.
        state: tensors and plain Python values; `run` is the identity of the run.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    head = _FIRST_LINE.format(hashlib.sha256(content).hexdigest()).encode()
    write_atomic(folder / STATE, head + content, previous=folder / PREVIOUS_STATE)


def load_state(folder: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the state of a run, tensors on the CPU.

    Args:
        folder: the run folder.
        run: identity of the run that wants to go on from it, as in `run_folder.identity`.

    Returns:
        What `save_state` was given last; the one before, with a warning, where that is damaged;
        None where there is neither file.

    Raises:
        UserError: no state is left undamaged, or it is another run's.
    """
    reasons = {}
    for path in (folder / STATE, folder / PREVIOUS_STATE):
        try:
            state = _read(path)
        except FileNotFoundError:
            continue
        except _Damaged as damage:
            reasons[path] = str(damage)
            continue
        if path.name == PREVIOUS_STATE:
            why = reasons.get(folder / STATE, "it is missing")
            logger.warning("%s: %s; going on from the state before it", folder / STATE, why)
        if differing := differences(state["run"], run):
            raise UserError(
                f"{path} is the state of another run ({differing}); give another --config.path, "
                "or delete it to start again"
            )
        return state
    if reasons:
        damaged = "; ".join(f"{path} cannot be read ({why})" for path, why in reasons.items())
        raise UserError(f"{damaged}; delete the folder's state files to start the run again")
    return None


def close_states(folder: Path, keep: bool) -> None:
    """Remove the states of a run that is finished.

    Args:
        folder: the run folder.
        keep: whether the last one stays as its final state, which `load_final` reads.
    """
    (folder / PREVIOUS_STATE).unlink(missing_ok=True)
    if keep and (folder / STATE).exists():
        (folder / STATE).replace(folder / FINAL)
    (folder / STATE).unlink(missing_ok=True)


def load_final(folder: Path) -> dict[str, Any]:
    """Read the final state of a finished run.

    Args:
        folder: the run folder.

    Raises:
        UserError: it is damaged.
    """
    try:
        return _read(folder / FINAL)
    except _Damaged as damage:
        raise UserError(f"{folder / FINAL} cannot be read ({damage})") from damage


def _read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    head, _, content = content.partition(b"\n")
    if head.decode(errors="replace") + "\n" != _FIRST_LINE.format(
        hashlib.sha256(content).hexdigest()
    ):
        raise _Damaged("its first line is not the SHA-256 of the rest")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _Damaged(str(error).partition("\n")[0] or type(error).__name__) from error
    if not isinstance(state, dict) or not isinstance(state.get("run"), dict):
        raise _Damaged("it holds no state of a run")
    return state
