"""Texts of items and users by their external id.

Two sources: a template over the fields of RecBole's atomic file ``<dataset>.item`` (or
``.user``), or a file that already holds a text per id.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_darec.keys import ConfigError

_FIELD = re.compile(r"\{([^{}]+)\}")
_OPTIONAL_PART = re.compile(r"\[([^\[\]]*\{[^\[\]]*)\]")


def atomic_file(config: Mapping[str, Any], side: str) -> Path:
    """RecBole's file of item or user features; ``side`` is ``item`` or ``user``."""
    return Path(config["data_path"]) / f"{config['dataset']}.{side}"


def id_field(config: Mapping[str, Any], side: str) -> str:
    """Name of the id column of items or users."""
    name: str = config["ITEM_ID_FIELD" if side == "item" else "USER_ID_FIELD"]
    return name


def read_atomic(
    config: Mapping[str, Any], side: str, fields: Sequence[str], rows: int | None = None
) -> pd.DataFrame:
    """Columns of an atomic file as raw strings, whatever ``load_col`` says; empty where missing.

    Args:
        config: the configuration (``data_path``, ``dataset``, ``field_separator``, ``encoding``).
        side: ``item`` or ``user``.
        fields: names of the columns, without their types.
        rows: how many rows to read, or None for all.

    Raises:
        ConfigError: if the file is missing or unreadable, or lacks one of the fields.
    """
    path = atomic_file(config, side)
    if not path.is_file():
        raise ConfigError(
            f"key '{side}_template' needs the file {path}, which does not exist; provide it, or "
            f"set {side}_text_file or {side}_embedding_file"
        )
    separator, encoding = config["field_separator"], config["encoding"]
    try:
        with path.open(encoding=encoding) as file:
            header = file.readline().rstrip("\r\n").split(separator)
        frame = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding=encoding, nrows=rows
        )
    except ValueError as error:
        raise ConfigError(
            f"{path} cannot be read: {error}; check 'encoding' and 'field_separator'"
        ) from error
    columns = {column.partition(":")[0]: column for column in header}
    for field in fields:
        if field not in columns:
            raise ConfigError(
                f"{side} field '{field}' is not in {path} (nearest: {nearest(field, columns)}); "
                f"correct '{side}_template' or '{'ITEM' if side == 'item' else 'USER'}_ID_FIELD'"
            )
    chosen = frame[[columns[field] for field in fields]]
    return chosen.set_axis(list(fields), axis="columns")


def nearest(name: str, names: Collection[str]) -> str:
    """The most similar of some names, or all of them where none is similar."""
    return ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names)


def template_fields(template: str) -> list[str]:
    """Names of the fields in a template, in order of appearance, each once.

    Raises:
        ConfigError: if there is none, or a brace is not closed.
    """
    fields = list(dict.fromkeys(_FIELD.findall(template)))
    if not fields or re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigError(
            f"template {template!r} needs at least one field in braces and no other brace, "
            "as in '{title}[ ({year})]'"
        )
    return fields


def fill_template(template: str, row: Mapping[str, str]) -> str:
    """One text; a part in square brackets disappears where one of its fields is empty.

    A row whose fields are all empty has no text: the result is empty.

    Examples:
        >>> fill_template("{title}[ ({year})]", {"title": "Heat", "year": ""})
        'Heat'
    """
    if not any(row[field].strip() for field in _FIELD.findall(template)):
        return ""

    def part(match: re.Match[str]) -> str:
        inner = match[1]
        return inner if all(row[field].strip() for field in _FIELD.findall(inner)) else ""

    filled = _FIELD.sub(lambda match: row[match[1]], _OPTIONAL_PART.sub(part, template))
    return filled.strip()


def template_texts(config: Mapping[str, Any], side: str) -> dict[str, str]:
    """Text per external id, from ``<side>_template``; rows without any field filled are left out.

    Raises:
        ConfigError: if the file or a field is missing, or the template is malformed.
    """
    template: str = config[f"{side}_template"]
    fields, identifier = template_fields(template), id_field(config, side)
    frame = read_atomic(config, side, list(dict.fromkeys([identifier, *fields])))
    frame = frame.drop_duplicates(identifier, keep="first")
    if config["seq_separator"] != " ":
        frame[fields] = frame[fields].apply(
            lambda column: column.str.replace(config["seq_separator"], " ", regex=False)
        )
    _report_empty_fields(template, frame, side)
    columns = frame.columns.tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in frame.itertuples(index=False)]
    texts = {row[identifier]: fill_template(template, row) for row in rows}
    return {identity: text for identity, text in texts.items() if text}


def _report_empty_fields(template: str, frame: pd.DataFrame, side: str) -> None:
    for field in dict.fromkeys(_FIELD.findall(_OPTIONAL_PART.sub("", template))):
        empty = int((frame[field].str.strip() == "").sum())
        if empty:
            getLogger().warning(
                f"{empty} of {len(frame)} {side}s have an empty '{field}', which {side}_template "
                "uses outside square brackets"
            )


def read_table(path: Path, key: str, rows: int | None = None) -> pd.DataFrame:
    """A jsonl, csv or parquet file as a table; ids and texts stay strings.

    Raises:
        ConfigError: if the file is missing, unreadable or of another kind.
    """
    if not path.is_file():
        raise ConfigError(f"key '{key}': the file {path} does not exist")
    try:
        if path.suffix in {".jsonl", ".ndjson"}:
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False, nrows=rows)
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False, nrows=rows)
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ConfigError(f"key '{key}': {path} cannot be read: {error}") from error
    raise ConfigError(f"key '{key}': {path} must end in .jsonl, .csv or .parquet")


def file_texts(config: Mapping[str, Any], side: str) -> dict[str, str]:
    """Text per external id, from ``<side>_text_file``; empty texts are left out.

    Raises:
        ConfigError: if the file cannot be read, a column is missing or an id stands twice.
    """
    key = f"{side}_text_file"
    path = Path(config[key]).expanduser()
    frame = read_table(path, key)
    identifier, column = text_columns(config, side, frame, path)
    ids = frame[identifier].map(str)
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ConfigError(
            f"key '{key}': {path} has more than one text for {len(repeated)} ids: "
            f"{', '.join(repeated[:5])}; keep one row per id"
        )
    texts = frame[column].fillna("").map(str).str.strip()
    return {identity: text for identity, text in zip(ids, texts, strict=True) if text}


def text_columns(
    config: Mapping[str, Any], side: str, frame: pd.DataFrame, path: Path
) -> tuple[str, str]:
    """Names of the id column and the text column of a text file.

    Raises:
        ConfigError: if a column is missing, or it is not clear which column holds the text.
    """
    identifier = config[f"{side}_text_id_column"] or id_field(config, side)
    if identifier not in frame.columns:
        raise ConfigError(
            f"{path} has no id column '{identifier}' (columns: {', '.join(frame.columns)}); set "
            f"'{side}_text_id_column'"
        )
    column = config[f"{side}_text_column"]
    if column is None:
        others = [c for c in frame.columns if c != identifier and _holds_text(frame[c])]
        if len(others) != 1:
            raise ConfigError(
                f"{path} must have one text column beside '{identifier}', found "
                f"{', '.join(others) or 'none'}; set '{side}_text_column'"
            )
        column = others[0]
    if column not in frame.columns:
        raise ConfigError(
            f"{path} has no text column '{column}' (columns: {', '.join(frame.columns)}); "
            f"correct '{side}_text_column'"
        )
    return identifier, column


def _holds_text(column: pd.Series) -> bool:
    return bool(column.map(lambda value: isinstance(value, str)).any())
