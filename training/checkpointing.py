"""The state of an unfinished run on disk: written whole after every epoch, read on resuming."""

import io
import pickle
from pathlib import Path

import torch

from training.errors import UserError
from training.run_folder import STATE, write_atomic


def save_state(folder: Path, state: dict) -> None:
    """Write the state of a run.

    Args:
        folder: the run folder.
        state: tensors and plain Python values.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(folder / STATE, buffer.getvalue())


def load_state(folder: Path) -> dict | None:
    """Read the state of a run, tensors on the CPU.

    Args:
        folder: the run folder.

    Returns:
        What `save_state` was given, or None where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path} cannot be read ({reason}); delete it to start the run anew"
        ) from error
