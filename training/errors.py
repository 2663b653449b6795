"""The ways in which a run ends in one line instead of a traceback, each with its exit code."""


class ExpectedStop(Exception):
    """Base of all: `str(stop)` is the line to print, `exit_code` what the program returns."""

    exit_code = 1


class UserError(ExpectedStop, ValueError):
    """Something that the user can put right: the data, the weights, a file."""

    exit_code = 2


class ConfigError(UserError):
    """A key of the configuration: the line names it, what was got and what is valid."""


class WeightsError(UserError):
    """Trained weights that are missing, damaged, or another network's."""


class NonFiniteLoss(ExpectedStop):
    """The loss became NaN or infinite."""


class Interrupted(ExpectedStop):
    """Ctrl-C during training."""

    exit_code = 130
