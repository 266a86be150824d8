"""One self-contained HTML page, and every number as json and csv."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from recbole_darec.analysis.analysis import Analysis
from recbole_darec.analysis.figures import svg
from recbole_darec.analysis.report_files import ReportFiles
from recbole_darec.analysis.sections import SECTIONS, Section
from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

_KEYS = (
    "kind", "block", "first", "second", "metric", "source", "group", "semantic", "when", "center",
    "epoch", "collaborative_center", "semantic_center",
)  # fmt: skip


def write_report(
    folder: str | Path, analysis: Analysis, other: Analysis | None = None
) -> ReportFiles:
    """Write ``report.html``, ``analysis.json`` and ``tables/*.csv``, each whole or not at all.

    Args:
        folder: made if need be.
        analysis: of the run.
        other: of a second run, shown beside the first.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    folder = Path(folder)
    analyses = [analysis] if other is None else [analysis, other]
    tables = compared(analyses)
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        files = [
            _write(folder / "tables" / f"{name}.csv", table.to_csv(index=False))
            for name, table in tables.items()
        ]
        numbers = _write(folder / "analysis.json", json.dumps(_as_json(analyses), indent=1))
        page = _write(folder / "report.html", html(analyses, tables))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    return ReportFiles(page, numbers, tuple(files))


def compared(analyses: list[Analysis]) -> dict[str, pd.DataFrame]:
    """Tables of one analysis, or of two with their columns side by side (A and B).

    Rows stand in the order in which the first and then the second analysis has them.
    """
    if len(analyses) == 1:
        return analyses[0].tables
    names = list(dict.fromkeys(name for analysis in analyses for name in analysis.tables))
    joined = {}
    for name in names:
        parts = [analysis.tables.get(name) for analysis in analyses]
        joined[name] = _side_by_side(parts)
    return joined


def _side_by_side(parts: list[pd.DataFrame | None]) -> pd.DataFrame:
    there = [(mark, part) for mark, part in zip("AB", parts, strict=True) if part is not None]
    keys = [key for key in _KEYS if all(key in part for _, part in there)]
    if not keys:
        return pd.concat([part.assign(run=mark) for mark, part in there], ignore_index=True)
    marked = [
        part.rename(columns={c: f"{c} {mark}" for c in part.columns if c not in keys})
        for mark, part in there
    ]
    both = pd.concat([part[keys] for part in marked]).drop_duplicates()
    for part in marked:
        both = both.merge(part, on=keys, how="left")
    values = [c for c in there[0][1].columns if c not in keys]
    order = [f"{c} {mark}" for c in values for mark in "AB" if f"{c} {mark}" in both]
    rest = [c for c in both.columns if c not in keys and c not in order]
    return both[[*keys, *order, *rest]]


def html(analyses: list[Analysis], tables: dict[str, pd.DataFrame]) -> str:
    """The page; nothing in it refers to another file or to the network.

    Titles and names come from data of others: the template escapes everything but our figures.
    """
    environment = Environment(
        loader=PackageLoader("recbole_darec.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    shown = [s for s in SECTIONS if any(s.concerns(analysis) for analysis in analyses)]
    marks = ("",) if len(analyses) == 1 else ("A", "B")
    return environment.get_template("report.html").render(
        title=" and ".join(analysis.name for analysis in analyses),
        runs=list(zip(marks, analyses, strict=True)),
        sections=[
            {
                "section": section,
                "figures": _figures(section, marks, analyses),
                "tables": {name: tables[name] for name in section.tables if name in tables},
            }
            for section in shown
        ],
    )


def _figures(
    section: Section, marks: tuple[str, ...], analyses: list[Analysis]
) -> list[tuple[str, str]]:
    drawn = [(mark, section.figure(a)) for mark, a in zip(marks, analyses, strict=True)]
    return [
        (mark, _with_own_ids(svg(figure), f"{section.key}{mark}"))
        for mark, figure in drawn
        if figure is not None
    ]


def _with_own_ids(text: str, prefix: str) -> str:
    """Ids of the figures of one page must differ, or clip paths of one apply to another."""
    for start in ('id="', "url(#", 'href="#'):
        text = text.replace(start, f"{start}{prefix}-")
    return text


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return "" if value is None else str(value)


def _as_json(analyses: list[Analysis]) -> dict[str, Any]:
    runs = []
    for analysis in analyses:
        tables = {n: _records(t) for n, t in analysis.tables.items()}
        runs.append(
            {
                "name": analysis.name,
                "run_folder": str(analysis.run.folder.path),
                "findings": list(analysis.findings),
                "tables": tables,
            }
        )
    return {"runs": runs}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    text = table.to_json(orient="records", double_precision=15)
    records: list[dict[str, Any]] = json.loads(text)
    return records


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
