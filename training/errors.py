"""The ways in which a run ends in one line instead of a traceback, each with its exit code."""


class ExpectedStop(Exception):
    """Base of all: `str(stop)` is the line to print, `exit_code` what the program returns.

    Attributes:
        everywhere: whether every process of the run stops with this line, so that one prints it.
    """

    exit_code = 1
    everywhere = False


class UserError(ExpectedStop, ValueError):
    """Something that the user can put right: the data, the weights, a file."""

    exit_code = 2


class ConfigError(UserError):
    """A key of the configuration: the line names it, what was got and what is valid."""

    everywhere = True


class WeightsError(UserError):
    """Trained weights that are missing, damaged, or another network's."""


class NonFiniteLoss(ExpectedStop):
    """The loss became NaN or infinite."""

    everywhere = True


class LostProcess(ExpectedStop):
    """Another process of a run on several ended; torchrun starts all again, or ends them."""


class Interrupted(ExpectedStop):
    """Ctrl-C during training."""

    exit_code = 130
    everywhere = True


class Terminated(Interrupted):
    """SIGTERM during training, as a scheduler of jobs sends it before it kills."""

    exit_code = 143


class Termination(KeyboardInterrupt):
    """SIGTERM, as an exception raised wherever the program is."""
