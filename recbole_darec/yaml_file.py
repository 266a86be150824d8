"""Yaml and text files of the user's; what is wrong with them is named with file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from recbole_darec.keys import ConfigError


class Loader(yaml.SafeLoader):
    """YAML 1.2 floats (``1e-3``), as RecBole's loader."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As the base class; a value that has no meaning, such as month 13, is named with line."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        """As the base class; a key that stands twice is named with its line."""
        seen: set[Any] = set()
        for key_node in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            key = key_node.value
            if key in seen:
                raise ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def config_files(given: Iterable[str]) -> list[str]:
    """Paths of ``--config_files``: as in RecBole a word may hold several, parted by spaces."""
    return [name for word in given for name in ([word] if Path(word).is_file() else word.split())]


def read_text(file: str | os.PathLike[str], what: str) -> str:
    """The text of a file, with or without a byte order mark.

    Args:
        file: its path.
        what: it is, for messages.

    Raises:
        ConfigError: if it cannot be read or is not UTF-8.
    """
    try:
        return Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{what} {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{what} {file} cannot be read: line {line} is not UTF-8; save it as UTF-8 text"
        ) from error


def read_yaml(file: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The keys and values of a yaml file; none of an empty one.

    Args:
        file: its path.
        what: it is, for messages.

    Raises:
        ConfigError: if it cannot be read, is not yaml, or does not hold keys and values.
    """
    text = read_text(file, what)
    try:
        content = yaml.load(text, Loader=Loader)  # noqa: S506
    except (yaml.MarkedYAMLError, ReaderError) as error:
        raise ConfigError(f"{what} {file} is not valid yaml: {_fault(error, text)}") from error
    content = {} if content is None else content
    if not (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
        raise ConfigError(f"{what} {file} must hold 'key: value' lines, whose keys are words")
    return content


def _fault(error: yaml.MarkedYAMLError | ReaderError, text: str) -> str:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position)
        return f"line {line + 1} holds U+{error.character:04X}: {error.reason}"
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}: " if mark else ""
    return where + ", ".join(filter(None, (error.context, error.problem)))
