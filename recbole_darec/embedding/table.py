"""Tables of strings from files, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_darec.keys import ConfigError

ROWS = 8192


def read_pieces(path: Path, key: str, rows: int = ROWS) -> Iterator[pd.DataFrame]:
    """A jsonl, csv or parquet file, ``rows`` rows at a time; ids and texts stay strings.

    Args:
        path: the file.
        key: the configuration key that named it, for messages.
        rows: of a piece.

    Raises:
        ConfigError: if the file is missing, unreadable or of another kind.
    """
    require_file(path, key)
    if path.suffix not in _READERS:
        raise ConfigError(f"key '{key}': {path} must end in .jsonl, .csv or .parquet")
    try:
        yield from _READERS[path.suffix](path, rows)
    except (ValueError, OSError) as error:
        advice = "; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise ConfigError(f"key '{key}': {path} cannot be read: {error}{advice}") from error


def require_file(path: Path, key: str) -> None:
    """Whether a path that a key gives is a file.

    Raises:
        ConfigError: if it is a folder, or nothing is there.
    """
    if path.is_dir():
        raise ConfigError(f"key '{key}': {path} is a folder; give the file")
    if not path.is_file():
        raise ConfigError(f"key '{key}': the file {path} does not exist")


def first_rows(path: Path, key: str) -> pd.DataFrame:
    """The first rows of a file; see ``read_pieces``.

    Raises:
        ConfigError: as ``read_pieces``, or if there is no row.
    """
    for piece in read_pieces(path, key, 100):
        if len(piece):
            return piece
    raise ConfigError(f"key '{key}': {path} holds no rows")


def _jsonl(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with path.open(encoding="utf-8-sig") as file:
        lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        while part := list(islice(lines, rows)):
            # As objects: where one is missing, pandas would make floats of whole numbers.
            yield pd.DataFrame([_object(*numbered) for numbered in part], dtype=object)


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} is no json: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(
            f'line {number} must be one object, such as {{"item_id": "1", "text": "a"}}'
        )
    return found


def _csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=rows) as file:
        for frame in file:
            refuse_longer_rows(frame)
            yield frame


def refuse_longer_rows(frame: pd.DataFrame) -> None:
    """Where a row has a field more than the header, pandas takes the first column for an index.

    Raises:
        ValueError: if it has done so.
    """
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError(
            f"a row (of '{frame.index[0]}') has more fields than the header; put fields that hold "
            "the separator in quotation marks"
        )


def _parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(rows):
            # An id that was pandas' index when the file was written is a column here.
            yield batch.to_pandas(ignore_metadata=True, integer_object_nulls=True)


_READERS = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".parquet": _parquet}
