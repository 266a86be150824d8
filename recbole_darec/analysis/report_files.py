"""The files of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written.

    Attributes:
        html: the page, whole in one file.
        json: every number.
        tables: every table as csv.
    """

    html: Path
    json: Path
    tables: tuple[Path, ...]
