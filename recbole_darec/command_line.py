"""Keys given on the command line, and what their texts mean."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import yaml

from recbole_darec.keys import ConfigError, Key
from recbole_darec.known_keys import declared_keys
from recbole_darec.recbole_values import INTERVAL_KEYS


def parse_command_line(arguments: Iterable[str]) -> dict[str, str]:
    """Texts by key, of arguments of the form ``--key=value``.

    Raises:
        ConfigError: if one has another form, or a key stands twice with different values.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            raise ConfigError(f"argument '{argument}' is not of the form --key=value")
        if given.setdefault(key, value) != value:
            raise ConfigError(f"key '{key}' is given twice, as '{given[key]}' and '{value}'")
    return given


def value_of(name: str, text: str) -> Any:
    """What ``text`` means for a key: itself where a string is declared, else a literal."""
    key = Key(str, optional=True) if name in INTERVAL_KEYS else declared_keys().get(name)
    if key is None or key.kind is not str:
        return literal(text)
    empty = key.optional and text.strip().lower() in ("none", "null", "~", "")
    return None if empty else text


def literal(text: str) -> Any:
    """The Python or yaml value that ``text`` writes, or the text itself."""
    words = {"true": True, "false": False, "none": None, "null": None, "~": None}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    if text.strip()[:1] in ("[", "{"):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text
