"""The command line: to a ConfigDict, a mistake to one line, and `--help` to a table."""

import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

import config as defaults
from g_selfatt import datasets
from g_selfatt.config_keys import Key, declared_keys
from training.errors import ConfigError
from training.keys_taken import missing, own_keys
from training.values import check_values

_WIDTHS = 72, 120  # of the table of --help, which takes the width of the terminal in between
_OVERRIDE = re.compile(r"--?(no)?config\.([^=]*)(=?)")
_TRUTH = {"true", "false", "t", "f", "1", "0"}
EXAMPLES = """\
python main.py                                                train p4sa
python main.py --config.pretrained=True                       evaluate it
python main.py --config.dataset=rotMNIST --config.model=p8sa  a row of the paper
python main.py --config.model=z2sa --config.device=cuda:1     on the second GPU
python main.py --config.lr=0.002 --config.epochs=20           another training
python main.py --config=other.py --config.seed=1              a file of your own"""


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
    given = [match[2] for argument in arguments if (match := _OVERRIDE.match(argument))]
    if unknown := [name for name in given if name not in defaults.KEYS]:
        config = _read_with_own_keys(arguments, unknown)
    else:
        config = _read(arguments)
    own: dict[str, Key] = {}
    if extra := sorted(set(config) - set(defaults.KEYS)):
        own = own_keys(config)
        for name in extra:
            _refuse_unknown(name, own)
    for name in sorted(set(defaults.KEYS) - set(config)):
        raise ConfigError(missing(name))
    return check_values(config, own)


def _read(arguments: Sequence[str], config: ConfigDict | None = None) -> ConfigDict:
    """The configuration of a file, or one that was read before, with the overrides of a line."""
    values = flags.FlagValues()
    argv = ["main.py", *arguments]  # the first is the program's name
    options = {"flag_values": values, "sys_argv": argv}
    try:
        if config is None:
            config_flags.DEFINE_config_file("config", default=defaults.__file__, **options)
        else:
            config_flags.DEFINE_config_dict("config", config, **options)
        positional = values(argv)[1:]
        config = values["config"].value
        set(config)  # absl keeps the error of a file until it is looked at
    except flags.UnrecognizedFlagError as error:
        hint = _nearest(error.flagname)
        raise ConfigError(
            f"--{error.flagname}: no such option; keys are written --config.key=value{hint}"
        ) from error
    except (flags.Error, ValueError) as error:
        raise ConfigError(_one_line(error)) from error
    except Exception as error:  # whatever a config file of the user's raises
        raise ConfigError(
            f"--config: cannot read the file: {_one_line(error)}{_recipe(arguments)}"
        ) from error
    if positional:
        raise ConfigError(
            f"{positional[0]!r}: expected --config.key=value, --config=file.py or --help"
        )
    return config


def _read_with_own_keys(arguments: Sequence[str], unknown: Sequence[str]) -> ConfigDict:
    """As `_read`, where keys occur that config.py has not: those of the data set and the network.

    Raises:
        ConfigError: an unknown key that is not one of theirs.
    """
    choosing, rest = _split(arguments)
    with_file = any(re.match(r"--?config(=|$)", argument) for argument in choosing)
    packages = ("g_selfatt.models", "g_selfatt.datasets")
    declared = {name for package in packages for name in declared_keys(package)}
    if not with_file and not declared & set(unknown):
        _refuse_unknown(unknown[0])  # answered at once, without torch
    config = _read(choosing)
    own = own_keys(config)
    for name in unknown:
        if name in declared - set(own):
            raise ConfigError(
                f"{name}: a key of other networks or data sets, not of model={config.model} or "
                f"dataset={config.dataset} (python main.py --help)"
            )
        _refuse_unknown(name, own)
    with config.unlocked():
        for name in set(own) - set(config):
            config[name] = own[name].typed_default()
    return _read(rest, config)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What chooses the file, the data set and the network, and all else."""
    choosing: list[str] = []
    rest: list[str] = []
    into = rest
    for argument in arguments:
        if argument.startswith("-"):
            match = re.match(r"--?config(\.dataset|\.model)?(=|$)", argument)
            into = choosing if match else rest
        into.append(argument)
    return choosing, rest


def help_text() -> str:
    """The table of `--help`: every key with type, default and meaning, as wide as the terminal."""
    least, most = _WIDTHS
    width = min(max(shutil.get_terminal_size((100, 24)).columns, least), most)
    lines = ["python main.py [--config=file.py] [--config.key=value ...]", "", EXAMPLES]
    sections = dict(defaults.SECTIONS)
    sections |= {f"dataset={info.name}": info.keys for info in datasets.INFO.values() if info.keys}
    for section, keys in sections.items():
        lines += ["", f"{section:<22}{'type':<7}{'default':<16}meaning"]
        for key in keys:
            lines += _row(key, width)
    lines += ["", "Of some networks only (files of g_selfatt/models)"]
    of_networks = sorted(set(declared_keys("g_selfatt.models")) - set(defaults.KEYS))
    indent = "  "
    lines += textwrap.wrap(
        " ".join(of_networks), width, initial_indent=indent, subsequent_indent=indent
    )
    lines += [
        "",
        "By data set (window, dropouts and the like: the files of g_selfatt/models)",
    ]
    widest = max(len(name) for name in datasets.INFO)
    indent = " " * (widest + 4)
    for info in datasets.INFO.values():
        facts = " ".join(f"{fact}={value}" for fact, value in vars(info.protocol).items())
        head = f"  {info.name:<{widest}}  "
        lines += textwrap.wrap(facts, width, initial_indent=head, subsequent_indent=indent)
    return "\n".join(line.rstrip() for line in lines)


def _row(key: Key, width: int) -> list[str]:
    default = f"by {key.by}" if key.default is None else str(key.default) or "''"
    named = all(choice in key.meaning for choice in key.choices)
    meaning = key.meaning + ("" if named else f": {', '.join(key.choices)}")
    meaning += f"; {key.expected}" if key.expected else ""
    head = f"  {key.name:<20}{key.type.__name__:<7}{default:<16}"
    return textwrap.wrap(meaning, width, initial_indent=head, subsequent_indent=" " * len(head))


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


def _refuse_unknown(name: str, own: Iterable[str] = ()) -> None:
    if name not in {*defaults.KEYS, *own}:
        hint = _nearest(name, own)
        shown = name if name.isprintable() else repr(name)  # one line, whatever was typed
        raise ConfigError(f"{shown}: no such key{hint} (python main.py --help lists all)")


def _recipe(arguments: Sequence[str]) -> str:
    """The recipe that was meant where --config names no file, as the end of a message."""
    import difflib

    files = [Path(match[1]) for a in arguments if (match := re.match(r"--?config=([^:]+)", a))]
    if not files or files[-1].exists():
        return ""
    recipes = [path.stem for path in Path(defaults.__file__).parent.glob("runs/*_*.py")]
    near = difflib.get_close_matches(files[-1].stem, recipes, n=1)
    return f"; did you mean --config=runs/{near[0]}.py?" if near else ""


def _nearest(name: str, own: Iterable[str] = ()) -> str:
    import difflib  # only mistakes need it

    keys = [*defaults.KEYS, *own]
    near = difflib.get_close_matches(name.removeprefix("config."), keys, n=1)
    return f", did you mean --config.{near[0]}?" if near else ""


def _one_line(error: Exception) -> str:
    """absl's `flag --config.lr=x: reason` as `lr: got 'x', expected ...`; others' last line."""
    match = re.match(r"flag --config\.(\w+)=(.*?): ", str(error), re.DOTALL)
    if not match:
        return str(error).strip().splitlines()[-1].strip()
    key = defaults.KEYS.get(match[1])
    if key is None:
        return f"{match[1]}: got {match[2]!r}, which is not of its type"
    expected = f", {key.expected}" if key.expected else ""
    return f"{key.name}: got {match[2]!r}, expected {key.type.__name__}{expected}"
