"""Ranked items for users, or for items, with external ids and titles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

FORMATS = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Recommendations:
    """A table of ranked items.

    Attributes:
        table: one row an item: ``user_id`` (or ``of_item_id``), ``rank`` from 1, ``item_id``,
            ``title`` (empty where unknown), ``score``, and whatever the request added.
        skipped: external ids that were asked for and are unknown.
    """

    table: pd.DataFrame
    skipped: tuple[str, ...] = ()

    def write(self, path: str | Path) -> Path:
        """Write the table whole or not at all, in the format of the file's ending.

        Raises:
            ConfigError: if the ending is none of ``.csv``, ``.jsonl`` and ``.parquet``, or the
                file cannot be written.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise ConfigError(f"output {path} must end in {', '.join(FORMATS)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                self._write(temporary, path.suffix)
        except OSError as error:
            raise ConfigError(f"output {path} cannot be written: {error.strerror}") from error
        return path

    def _write(self, path: Path, suffix: str) -> None:
        if suffix == ".csv":
            self.table.to_csv(path, index=False)
        elif suffix == ".jsonl":
            self.table.to_json(
                path, orient="records", lines=True, force_ascii=False, double_precision=10
            )
        else:
            self.table.to_parquet(path, index=False)

    def text(self) -> str:
        """The table for a terminal, a paragraph per user or item asked for."""
        if self.table.empty:
            return ""
        first = str(self.table.columns[0])
        shown = self.table.drop(columns=first).to_string(index=False, float_format="{:.4f}".format)
        head, *lines = shown.split("\n")
        what, rest = first.removesuffix("_id").replace("_", " "), iter(lines)
        return "\n\n".join(
            "\n".join([f"{what} {identity}", head, *islice(rest, count)])
            for identity, count in self.table[first].value_counts(sort=False).items()
        )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        first = str(self.table.columns[0])
        count, what = self.table[first].nunique(), "items" if "item" in first else "users"
        head = f"<{len(self.table)} recommendations for {count} {what}>"
        return f"{head}\n{self.table.head(10).to_string(index=False)}"
