"""RecBole's files of interactions: where they lie and what their first lines say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_darec.embedding.text import BYTE_ORDER_MARK
from recbole_darec.keys import ConfigError

_TYPES = ("token", "float", "token_seq", "float_seq")


def interaction_files(config: Mapping[str, Any]) -> list[Path]:
    """The files of a dataset's interactions: one, or one for each part of the split.

    Args:
        config: keys ``data_path``, ``dataset`` and ``benchmark_filename``.
    """
    parts = [f"{part}.inter" for part in config["benchmark_filename"] or ()] or ["inter"]
    return [Path(config["data_path"]) / f"{config['dataset']}.{part}" for part in parts]


def check_headers(config: Mapping[str, Any]) -> None:
    """Whether the first line of each file names what RecBole will ask for.

    Args:
        config: as for ``interaction_files``, and keys ``field_separator``, ``encoding``,
            ``USER_ID_FIELD`` and ``ITEM_ID_FIELD``.

    Raises:
        ConfigError: if a file begins with a byte order mark, if a column has no name or no type,
            or if there is none of users or of items.
    """
    for path in filter(Path.is_file, interaction_files(config)):
        line = _first_line(path, config)
        if line.startswith("\ufeff"):
            raise ConfigError(BYTE_ORDER_MARK.format(path))
        _check_columns(line.split(config["field_separator"]), config, path)


def check_value_lists(config: Mapping[str, Any]) -> None:
    """Whether ``val_interval`` has no list for a column of numbers.

    RecBole parses such a list as an interval, warns, and leaves out some interaction.

    Args:
        config: as for ``check_headers``, and key ``val_interval``.

    Raises:
        ConfigError: if it has.
    """
    stem = Path(config["data_path"]) / config["dataset"]
    paths = [*interaction_files(config), stem.with_name(f"{stem.name}.item")]
    for path in filter(Path.is_file, [*paths, stem.with_name(f"{stem.name}.user")]):
        for column in _first_line(path, config).split(config["field_separator"]):
            name, _, kind = column.partition(":")
            values = (config["val_interval"] or {}).get(name)
            if kind.startswith("float") and isinstance(values, (list, tuple)):
                raise ConfigError(
                    f"key 'val_interval' of '{name}' is {values}, a list, but the column holds "
                    'numbers; write an interval, such as "[3,5]"'
                )


def _first_line(path: Path, config: Mapping[str, Any]) -> str:
    with path.open(encoding=config["encoding"] or "utf-8", errors="replace") as file:
        return file.readline().rstrip("\r\n")


def _check_columns(columns: list[str], config: Mapping[str, Any], path: Path) -> None:
    for column in columns:
        name, _, kind = column.partition(":")
        if not name or kind not in _TYPES:
            raise ConfigError(
                f"the first line of {path} has a column {column!r}; columns are separated by "
                f"{config['field_separator']!r} (key 'field_separator') and named name:type, with "
                f"a type of {', '.join(_TYPES)}, such as user_id:token"
            )
    names = [column.partition(":")[0] for column in columns]
    for key in ("USER_ID_FIELD", "ITEM_ID_FIELD"):
        if config[key] not in names:
            raise ConfigError(
                f"{path} has no column '{config[key]}'; its columns are {', '.join(names)}: "
                f"rename one, or set '{key}'"
            )


def are_empty(config: Mapping[str, Any]) -> bool:
    """Whether there are such files, none of which has more than a header."""
    found = [path for path in interaction_files(config) if path.is_file()]
    return bool(found) and not any(map(_has_rows, found))


def _has_rows(path: Path) -> bool:
    with path.open("rb") as file:
        file.readline()
        return any(map(bytes.strip, file))
