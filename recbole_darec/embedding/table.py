"""Tables of strings from files, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
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
    if not path.is_file():
        raise ConfigError(f"key '{key}': the file {path} does not exist")
    if path.suffix not in _READERS:
        raise ConfigError(f"key '{key}': {path} must end in .jsonl, .csv or .parquet")
    try:
        yield from _READERS[path.suffix](path, rows)
    except (ValueError, OSError) as error:
        raise ConfigError(f"key '{key}': {path} cannot be read: {error}") from error


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
    options: Any = {"dtype": False, "convert_dates": False, "encoding": "utf-8-sig"}
    with pd.read_json(path, lines=True, chunksize=rows, **options) as file:
        for piece in file:
            if not all(isinstance(name, str) for name in piece.columns):
                raise ValueError('a line must be one object, such as {"item_id": "1", "text": "a"}')
            yield piece


def _csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=rows) as file:
        yield from file


def _parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(rows):
            # An id that was pandas' index when the file was written is a column here.
            yield batch.to_pandas(ignore_metadata=True)


_READERS = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".parquet": _parquet}
