"""Texts by external id, on disk."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_darec.embedding.text_source import TextSource
from recbole_darec.keys import ConfigError


class TextTable(Mapping[str, str]):
    """The texts of a source, looked up one by one in a temporary file; none stays in memory.

    The file goes with the object that made it. A copy in another process of this machine reads it.

    Args:
        source: the texts; where an id stands twice, the first counts.

    Raises:
        ConfigError: if the source cannot be read, or the folder for temporary files is full.
    """

    def __init__(self, source: TextSource) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="recbole-darec-")
        self._path = Path(self._folder.name) / "texts.sqlite"
        self._open()
        try:
            self._connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
            self._connection.execute(
                "CREATE TABLE texts (id BLOB PRIMARY KEY, text BLOB) WITHOUT ROWID"
            )
            for batch in source:
                self._connection.executemany(
                    "INSERT OR IGNORE INTO texts VALUES (?, ?)",
                    ((_bytes(identity), _bytes(text)) for identity, text in batch),
                )
            self._connection.commit()
        except sqlite3.Error as error:
            raise ConfigError(
                f"{source.name}: cannot be kept in {self._path} ({error}); set the environment "
                "variable TMPDIR to a folder with room for the texts"
            ) from error

    def _open(self) -> None:
        # Reading alone; encoders that run in threads draw texts one after the other.
        self._connection = sqlite3.connect(self._path, check_same_thread=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __getitem__(self, identity: str) -> str:
        found = self._connection.execute(
            "SELECT text FROM texts WHERE id = ?", (_bytes(identity),)
        ).fetchone()
        if found is None:
            raise KeyError(identity)
        return str(found[0], "utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        for (identity,) in self._connection.execute("SELECT id FROM texts"):
            yield str(identity, "utf-8", "surrogatepass")

    def __len__(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM texts").fetchone()[0]
        return count


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
