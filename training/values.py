"""Each key of the configuration on its own: its type and valid values, without loading torch."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from config import KEYS
from g_selfatt.config_keys import Key
from training.errors import ConfigError

_PATHS = {"data_dir", "save_dir", "path", "weights"}
_LONGEST = 80  # characters of a value that an error message repeats


def check_values(config: ConfigDict, own: Mapping[str, Key] = MappingProxyType({})) -> ConfigDict:
    """Check every value against its Key.

    Args:
        config: every key of config.KEYS, None where the default is None.
        own: the keys that its data set and network have for themselves; they may be missing.

    Returns:
        A copy in which choices have their one spelling, floats are floats and no key is missing.

    Raises:
        ConfigError: a wrong type or a value that can never be; the line names the key.
    """
    values = {name: config[name] for name in KEYS}
    values |= {name: config.get(name, key.default) for name, key in own.items()}
    return ConfigDict({name: _checked({**KEYS, **own}[name], v) for name, v in values.items()})


def _checked(key: Key, value: Any) -> Any:
    if value is None and key.default is None:
        return None
    if key.type is float and type(value) is int:
        value = float(value)
    if type(value) is not key.type:
        raise ConfigError(f"{key.name}: got {_shown(value)}, expected {key.type.__name__}")
    if key.name in _PATHS:  # the shell expands no ~ behind a =
        value = os.path.expanduser(value)
    if key.choices:
        spelling = {choice.lower(): choice for choice in key.choices}
        if value.lower() not in spelling:
            raise ConfigError(
                f"{key.name}: got {value!r}, expected one of {', '.join(key.choices)}"
            )
        return spelling[value.lower()]
    if not key.valid(value):
        raise ConfigError(f"{key.name}: got {_shown(value)}, expected {key.expected}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
