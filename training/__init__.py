"""Training and evaluation of the networks of g_selfatt.models on the data of g_selfatt.datasets.

Light to import: torch is loaded by `run`, so that `--help` and a misspelt key are answered at once.
"""

from ml_collections import ConfigDict

from training.errors import UserError
from training.stopping import raising_on_termination


def run(config: ConfigDict) -> dict:
    """Train, or evaluate, what a configuration describes.

    Args:
        config: from `config.get_config` or `settings.resolve`; what is None is decided by the data
            set and the network.

    Returns:
        The figures of the run, as in the last line of metrics.jsonl.

    Raises:
        errors.ExpectedStop: everything that ends a run in one line: missing data or weights, a loss
            that is not finite, Ctrl-C.
    """
    from g_selfatt.datasets import DataError
    from training import job, settings
    from training.allocator import is_out_of_memory

    try:
        with raising_on_termination():
            if None in config.values():
                config = settings.resolve(config)
            settings.check(config)
            return job.run(config)
    except DataError as error:
        raise _in_one_line(str(error), error) from error
    except OSError as error:  # a full disk, a folder without permission, a name too long, ...
        file = f"{error.filename}: " if error.filename else ""
        raise _in_one_line(f"{file}{error.strerror or error}", error) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            "out of memory: take a smaller --config.batch_size, or smaller images; what was "
            "trained is kept"
        ) from error


def _in_one_line(line: str, cause: Exception) -> UserError:
    stop = UserError(line)
    stop.everywhere = getattr(cause, "everywhere", False)
    return stop
