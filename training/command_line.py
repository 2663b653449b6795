"""The command line: to a ConfigDict, a mistake to one line, and `--help` to a table."""

import difflib
import re
import textwrap
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

import config as defaults
from training.errors import ConfigError
from training.values import check_values

_WIDTH = 100
_OVERRIDE = re.compile(r"--?(no)?config\.([^=]*)(=?)")
_TRUTH = {"true", "false", "t", "f", "1", "0"}
EXAMPLES = """\
python main.py                                                      train p4sa on rotDigits
python main.py --config.pretrained=True                             evaluate what was trained
python main.py --config.dataset=rotMNIST --config.model=p8sa        the protocol of the paper
python main.py --config.dataset=CIFAR10 --config.model=mz2sa --config.device=cuda:1
python main.py --config.scheduler=multistep --config.sched_decay_steps="(5,8)" --config.lr=0.002
python main.py --config=other.py --config.seed=1                    keys of a file of your own"""


def parse(arguments: Sequence[str]) -> ConfigDict:
    """Read a command line.

    Args:
        arguments: without the program's name, as `--config.key=value` or `--config.key value`.

    Returns:
        The configuration as given, not yet resolved; each value is valid on its own.

    Raises:
        ConfigError: an unknown key, an invalid value, a config file that cannot be read.
    """
    arguments = _join_booleans(arguments)
    for argument in arguments:
        if match := _OVERRIDE.match(argument):
            _refuse_unknown(match[2])
    values = flags.FlagValues()
    try:
        # the first element is the program's name, to both
        config_flags.DEFINE_config_file(
            "config",
            default=defaults.__file__,
            flag_values=values,
            sys_argv=["main.py", *arguments],
        )
        positional = values(["main.py", *arguments])[1:]
        config = values["config"].value
        names = set(config)
    except flags.UnrecognizedFlagError as error:
        hint = _nearest(error.flagname)
        raise ConfigError(
            f"--{error.flagname}: no such option; keys are written --config.key=value{hint}"
        ) from error
    except (flags.Error, ValueError) as error:
        raise ConfigError(_one_line(error)) from error
    except Exception as error:  # whatever a config file of the user's raises
        raise ConfigError(f"--config: cannot read the file: {_one_line(error)}") from error
    if positional:
        raise ConfigError(
            f"{positional[0]!r}: expected --config.key=value, --config=file.py or --help"
        )
    for name in sorted(names ^ set(defaults.KEYS)):
        _refuse_unknown(name)
        raise ConfigError(
            f"{name}: missing from the config file, which starts from config.get_config()"
        )
    return check_values(config)


def help_text() -> str:
    """The table of `--help`: every key with type, default and meaning, 100 columns wide."""
    lines = ["python main.py [--config=file.py] [--config.key=value ...]", "", EXAMPLES]
    for section, keys in defaults.SECTIONS.items():
        lines += ["", f"{section:<22}{'type':<7}{'default':<16}meaning"]
        for key in keys:
            default = f"by {key.by}" if key.default is None else str(key.default) or "''"
            named = all(choice in key.meaning for choice in key.choices)
            meaning = key.meaning + ("" if named else f": {', '.join(key.choices)}")
            head = f"  {key.name:<20}{key.type.__name__:<7}{default:<16}"
            lines += textwrap.wrap(
                meaning, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
            )
    lines += ["", "By data set (window, dropout and the rest of the network: models/presets.py)"]
    for name, row in defaults.PROTOCOLS.items():
        facts = " ".join(f"{fact}={value}" for fact, value in row.items())
        lines += textwrap.wrap(
            facts, _WIDTH, initial_indent=f"  {name:<12}", subsequent_indent=" " * 14
        )
    return "\n".join(line.rstrip() for line in lines)


def _join_booleans(arguments: Sequence[str]) -> list[str]:
    """Write `--config.train False` as `--config.train=False`: absl would read it as True."""
    joined: list[str] = []
    for argument in arguments:
        match = _OVERRIDE.fullmatch(joined[-1]) if joined else None
        key = defaults.KEYS.get(match[2]) if match and not (match[1] or match[3]) else None
        if key and key.type is bool and argument.lower() in _TRUTH:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _refuse_unknown(name: str) -> None:
    if name not in defaults.KEYS:
        raise ConfigError(f"{name}: no such key{_nearest(name)} (python main.py --help lists all)")


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.removeprefix("config."), defaults.KEYS, n=1)
    return f", did you mean --config.{near[0]}?" if near else ""


def _one_line(error: Exception) -> str:
    """absl's `flag --config.lr=x: reason` as `lr: got 'x', expected ...`; others' last line."""
    match = re.match(r"flag --config\.(\w+)=(.*?): ", str(error), re.DOTALL)
    if not match:
        return str(error).strip().splitlines()[-1].strip()
    key = defaults.KEYS[match[1]]
    expected = f", {key.expected}" if key.expected else ""
    return f"{key.name}: got {match[2]!r}, expected {key.type.__name__}{expected}"
