"""Texts of items and users by their external id.

Two sources: a template over the fields of RecBole's atomic file ``<dataset>.item`` (or
``.user``), or a file that already holds a text per id.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_darec.embedding.repeated_ids import RepeatedIds
from recbole_darec.embedding.table import ROWS, first_rows, read_pieces
from recbole_darec.embedding.text_source import Batch, TextSource
from recbole_darec.keys import ConfigError

_EXAMPLES = 3
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
    config: Mapping[str, Any], side: str, fields: Sequence[str], key: str | None = None
) -> pd.DataFrame:
    """Columns of an atomic file as raw strings, whatever ``load_col`` says; empty where missing.

    Args:
        config: the configuration (``data_path``, ``dataset``, ``field_separator``, ``encoding``).
        side: ``item`` or ``user``.
        fields: names of the columns, without their types.
        key: the key that asks for them, for messages; default ``<side>_template``.

    Raises:
        ConfigError: if the file is missing or unreadable, or lacks one of the fields.
    """
    check_atomic(config, side, fields, key)
    return pd.concat(atomic_pieces(config, side, fields), ignore_index=True)


def check_atomic(
    config: Mapping[str, Any], side: str, fields: Sequence[str], key: str | None = None
) -> dict[str, str]:
    """Read the header of an atomic file.

    Args:
        config: the configuration.
        side: ``item`` or ``user``.
        fields: names of the columns, without their types.
        key: the key that asks for them, for messages; default ``<side>_template``.

    Returns:
        Each of the fields with its column's name, which includes the type.

    Raises:
        ConfigError: if the file is missing or unreadable, or lacks one of the fields.
    """
    path, key = atomic_file(config, side), key or f"{side}_template"
    if not path.is_file():
        raise ConfigError(
            f"key '{key}' needs the file {path}, which does not exist; provide it, or "
            f"set {side}_text_file or {side}_embedding_file"
        )
    columns = {column.partition(":")[0]: column for column in atomic_header(config, side)}
    if not any(columns):
        raise ConfigError(f"key '{key}': {path} is empty; its first line names the columns")
    for field in fields:
        if field not in columns:
            raise ConfigError(
                f"{side} field '{field}' is not in {path} (nearest: {nearest(field, columns)}); "
                f"correct '{key}' or '{'ITEM' if side == 'item' else 'USER'}_ID_FIELD'"
            )
    return {field: columns[field] for field in fields}


def atomic_header(config: Mapping[str, Any], side: str) -> list[str]:
    """Columns of an atomic file, ``name:type``.

    Raises:
        ConfigError: if the file cannot be read, or begins with a byte order mark.
    """
    path = atomic_file(config, side)
    try:
        # What pandas takes where no encoding is given, whatever the machine's own is.
        with path.open(encoding=config["encoding"] or "utf-8") as file:
            line = file.readline()
    except (ValueError, OSError) as error:
        raise ConfigError(_UNREADABLE.format(path, error)) from error
    if line.startswith("\ufeff"):
        raise ConfigError(BYTE_ORDER_MARK.format(path))
    header: list[str] = line.rstrip("\r\n").split(config["field_separator"])
    return header


def atomic_pieces(
    config: Mapping[str, Any], side: str, fields: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """As ``read_atomic``, some rows at a time.

    Raises:
        ConfigError: as ``read_atomic``.
    """
    path, columns = atomic_file(config, side), check_atomic(config, side, fields)
    try:
        with pd.read_csv(
            path,
            sep=config["field_separator"],
            dtype=str,
            keep_default_na=False,
            encoding=config["encoding"],
            usecols=list(columns.values()),
            chunksize=ROWS,
        ) as pieces:
            for piece in pieces:
                yield piece[list(columns.values())].set_axis(list(fields), axis="columns")
    except ValueError as error:
        unreadable = _UNCLOSED if "EOF inside string" in str(error) else _UNREADABLE
        raise ConfigError(unreadable.format(path, error)) from error


_UNREADABLE = "{} cannot be read: {}; check 'encoding' and 'field_separator'"
_UNCLOSED = (
    "{} cannot be read: {}: a field begins with a quotation mark that nothing closes; quote such "
    "fields as csv does, with every mark in them doubled"
)
BYTE_ORDER_MARK = (
    "{} begins with a byte order mark, which would become a part of its first column's name: set "
    "--encoding=utf-8-sig"
)


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
    parts = _parts(template)
    if not any(row[field].strip() for _, part in parts for field in part[1::2]):
        return ""
    kept = [
        part
        for optional, part in parts
        if not optional or all(row[field].strip() for field in part[1::2])
    ]
    return "".join(
        row[word] if at % 2 else word for part in kept for at, word in enumerate(part)
    ).strip()


@lru_cache(maxsize=64)
def _parts(template: str) -> list[tuple[bool, list[str]]]:
    """Whether each part is in brackets, and its words: literal and field in turn."""
    return [
        (at % 2 == 1, _FIELD.split(part)) for at, part in enumerate(_OPTIONAL_PART.split(template))
    ]


def template_source(config: Mapping[str, Any], side: str, key: str | None = None) -> TextSource:
    """Texts from a template; rows without any field filled are left out.

    Where an id stands twice, so does its text: the first one counts.

    Args:
        config: the configuration.
        side: whose fields: ``item`` or ``user``.
        key: the key with the template; default ``<side>_template``.

    Raises:
        ConfigError: if the file or a field is missing, or the template is malformed.
    """
    key = key or f"{side}_template"
    template: str = config[key]
    identifier = id_field(config, side)
    fields = list(dict.fromkeys([identifier, *template_fields(template)]))
    check_atomic(config, side, fields, key)

    def read(report: bool) -> Iterator[Batch]:
        oddities = _Oddities(template, identifier)
        for frame in atomic_pieces(config, side, fields):
            if report:
                oddities.add(frame)
            yield _filled(template, spaced(config, side, frame), identifier)
        for oddity in oddities.told(config, side, key) if report else ():
            getLogger().warning(oddity)

    return TextSource(read, f"{key} {template!r} over {atomic_file(config, side)}")


_JOINED = (
    "{}: a field spans several lines, e.g. of the ids {}. As in RecBole, a quotation mark at the "
    "start of a field holds until the next one and takes in the rows between: quote such fields "
    "as csv does, with every mark in them doubled"
)


class _Oddities:
    """What a user should know of the rows of an atomic file that a template reads."""

    def __init__(self, template: str, identifier: str) -> None:
        self.template, self.identifier = template, identifier
        self.rows = 0
        self.empty: Counter[str] = Counter()
        self.joined: list[str] = []
        self.seen = RepeatedIds()

    def add(self, frame: pd.DataFrame) -> None:
        self.rows += len(frame)
        self.empty.update(_empty_fields(self.template, frame))
        self.seen.add(frame[self.identifier])
        if len(self.joined) < _EXAMPLES:
            self.joined += frame[self.identifier][_spans_lines(frame)].tolist()

    def told(self, config: Mapping[str, Any], side: str, key: str) -> Iterator[str]:
        path = atomic_file(config, side)
        for field, count in self.empty.items():
            yield (
                f"{count} of {self.rows} {side}s have an empty '{field}', which {key} "
                "uses outside square brackets"
            )
        if self.joined:
            yield _JOINED.format(path, self.joined[:_EXAMPLES])
        pieces = atomic_pieces(config, side, [self.identifier])
        if repeated := self.seen.found(piece[self.identifier] for piece in pieces):
            yield (
                f"{path} has more than one row for {len(repeated)} {side}s, of which the first "
                f"counts, e.g. ids {', '.join(repeated[:_EXAMPLES])}"
            )


def _spans_lines(frame: pd.DataFrame) -> pd.Series:
    found: pd.Series = frame.map(lambda value: "\n" in value).any(axis=1)
    return found


def spaced(config: Mapping[str, Any], side: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The same fields of an atomic file, with spaces between the entries of sequences."""
    separator: str = config["seq_separator"]
    columns = check_atomic(config, side, list(frame.columns))
    sequences = [field for field, column in columns.items() if column.endswith("_seq")]
    values = frame[sequences].map(lambda value: value.replace(separator, " "))
    return frame.assign(**dict(values.items()))


def _filled(template: str, frame: pd.DataFrame, identifier: str) -> Batch:
    columns = frame.columns.tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in frame.itertuples(index=False)]
    texts = [(row[identifier], fill_template(template, row)) for row in rows]
    return [(identity, text) for identity, text in texts if text]


def _empty_fields(template: str, frame: pd.DataFrame) -> Counter[str]:
    fields = dict.fromkeys(_FIELD.findall(_OPTIONAL_PART.sub("", template)))
    # Not by .str: that would tie each piece to itself, and pieces would stay until a collection.
    return +Counter({field: int((frame[field].map(str.strip) == "").sum()) for field in fields})


def file_source(config: Mapping[str, Any], side: str) -> TextSource:
    """Texts from ``<side>_text_file``; empty texts are left out with a warning.

    Raises:
        ConfigError: if the file cannot be read or a column is missing; while it is read, if an id
            stands twice.
    """
    key = f"{side}_text_file"
    path = Path(config[key]).expanduser()
    identifier, column = text_columns(config, side, first_rows(path, key), path)

    def read(report: bool) -> Iterator[Batch]:
        seen = RepeatedIds()
        empty: list[str] = []
        for frame in read_pieces(path, key):
            frame = frame.reindex(columns=[identifier, column]).astype(object)
            _require_ids(frame, identifier, path, key)
            ids = frame[identifier].map(str)
            seen.add(ids)
            _require_texts(frame, identifier, column, path, key)
            texts = frame[column].where(frame[column].notna(), "")
            texts = texts.map(lambda text: str(text).strip())
            empty.extend(ids[texts == ""])
            yield [(identity, text) for identity, text in zip(ids, texts, strict=True) if text]
        if report and empty:
            getLogger().warning(
                f"{key} {path}: {len(empty)} ids have an empty text and are left out, e.g. "
                f"{', '.join(empty[:5])}"
            )
        if report:
            _check_unique(path, key, identifier, seen)

    return TextSource(read, f"{key} {path}, column '{column}'")


def _require_texts(frame: pd.DataFrame, identifier: str, column: str, path: Path, key: str) -> None:
    odd = frame[[isinstance(text, (list, dict, np.ndarray)) for text in frame[column]]]
    if len(odd):
        raise ConfigError(
            f"key '{key}': {path} has a {type(odd.iloc[0][column]).__name__} in '{column}' of "
            f"{odd.iloc[0][identifier]}, not a text; join it to one"
        )


def _require_ids(frame: pd.DataFrame, identifier: str, path: Path, key: str) -> None:
    without = frame[frame[identifier].isna() | (frame[identifier].map(str) == "")]
    if len(without):
        text = without.iloc[0].drop(identifier).to_dict()
        raise ConfigError(
            f"key '{key}': {path} has a row without '{identifier}': {text}; give it one, or leave "
            "the row out"
        )


def _check_unique(path: Path, key: str, identifier: str, ids: RepeatedIds) -> None:
    repeated = ids.found(frame[identifier] for frame in read_pieces(path, key))
    if repeated:
        raise ConfigError(
            f"key '{key}': {path} has more than one text for {len(repeated)} ids: "
            f"{', '.join(repeated[:5])}; keep one row per id"
        )


def text_columns(
    config: Mapping[str, Any], side: str, frame: pd.DataFrame, path: Path
) -> tuple[str, str]:
    """Names of the id column and the text column of a text file.

    Raises:
        ConfigError: if a column is missing, or it is not clear which column holds the text.
    """
    identifier = config[f"{side}_text_id_column"] or id_field(config, side)
    if identifier not in frame.columns:
        alone = len(frame.columns) == 1 and re.search(r"[;\t|]", frame.columns[0])
        remedy = "separate them by commas" if alone else f"set '{side}_text_id_column'"
        raise ConfigError(
            f"{path} has no id column '{identifier}' (columns: {', '.join(frame.columns)}); "
            f"{remedy}"
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
