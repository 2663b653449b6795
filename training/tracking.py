"""Weights & Biases and TensorBoard for those who ask; not imported otherwise."""

import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from g_selfatt.datasets.errors import one_line
from training.errors import UserError

MODES = ("disabled", "offline", "online")


class Tracker:
    """Sends the figures of a run to wandb and to TensorBoard, as far as the configuration asks.

    Args:
        config: resolved; entity and project come from it, else from WANDB_ENTITY and WANDB_PROJECT.
        folder: the run folder, which holds the files of both too and gives the run its name.
        run_id: wandb's id of a run that goes on; None begins a new one.

    A context: leaving it ends the run there, as failed after an exception.

    Attributes:
        run_id: wandb's id of this run; None where wandb is disabled.

    Raises:
        UserError: wandb cannot be started, as when nobody is logged in.
    """

    def __init__(self, config: ConfigDict, folder: Path, run_id: str | None) -> None:
        self._run = None
        self._board = None
        self.run_id = run_id
        if config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"))
        if config.wandb == "disabled":
            return
        import wandb

        try:
            self._run = wandb.init(
                mode=config.wandb,
                dir=folder,
                name=folder.name,
                id=run_id,
                resume="allow" if run_id else None,
                entity=config.wandb_entity or os.environ.get("WANDB_ENTITY"),
                project=config.wandb_project or os.environ.get("WANDB_PROJECT", "g_selfatt"),
                notes=config.comment or None,
                config=config.to_dict(),
            )
        except wandb.Error as error:
            raise UserError(f"wandb={config.wandb} cannot start: {one_line(error)}") from error
        self.run_id = self._run.id

    def log(self, figures: dict[str, Any], epoch: int) -> None:
        """Send the figures of an epoch; `epoch` counts from 1."""
        if self._run is not None:
            self._run.log(figures, step=epoch)
        self._write(figures, epoch)

    def summarize(self, results: dict[str, Any]) -> None:
        """Send the figures of the run as a whole."""
        if self._run is not None:
            self._run.summary.update(results)
        self._write(results, results.get("epochs"))

    def _write(self, figures: dict[str, Any], epoch: int | None) -> None:
        """Every number, under its name."""
        if self._board is not None:
            for name, value in figures.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(name, value, epoch)
            self._board.flush()

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._board is not None:
            self._board.close()
        if self._run is not None:
            self._run.finish(exit_code=int(kind is not None))
