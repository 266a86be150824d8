"""What an experiment leaves: every run, every user's values, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_darec.analysis.tables import Measured, summarise, to_latex, to_markdown, user_table
from recbole_darec.atomic import json_text
from recbole_darec.experiment.execute import Task, finished_folder
from recbole_darec.experiment.files import write_text
from recbole_darec.experiment.plan import PlannedRun
from recbole_darec.keys import ConfigError
from recbole_darec.run_folder import RunFolder
from recbole_darec.user_values import UserValues


def write_runs(output: Path, runs: Sequence[PlannedRun]) -> list[dict[str, Any]]:
    """Write ``runs.json`` and ``runs.csv``: one entry a planned run, with its results or its error.

    Returns:
        The entries; ``status`` is ``finished``, ``failed`` or ``waiting``.
    """
    entries = [_entry(output, run) for run in runs]
    write_text(output / "runs.json", json_text(entries, indent=1))
    table = pd.json_normalize(entries).rename(columns=lambda name: name.removeprefix("test."))
    write_text(output / "runs.csv", table.to_csv(index=False))
    return entries


def _entry(output: Path, run: PlannedRun) -> dict[str, Any]:
    place = Task(run, output).place
    entry: dict[str, Any] = {
        "label": run.label,
        "model": run.parameters["model"],
        "dataset": run.dataset,
        "seed": run.seed,
    }
    folder = finished_folder(place)
    if folder is None:
        failed = place / "error.txt"
        if not failed.is_file():
            return {**entry, "status": "waiting"}
        last = failed.read_text("utf-8").strip().splitlines()[-1]
        return {**entry, "status": "failed", "error": last}
    metrics = RunFolder.open(folder).read_metrics()
    return {
        **entry,
        "status": "finished",
        "run_folder": str(folder.relative_to(output)),
        "best_epoch": metrics["best_epoch"],
        "train_seconds": sum(metrics["epoch_seconds"]),
        "valid_metric": metrics["valid_metric"],
        "best_valid_score": metrics["best_valid_score"],
        "dataset_fingerprint": metrics["dataset_fingerprint"],
        "test": metrics["test_result"],
    }


def measured(output: Path, entries: Sequence[dict[str, Any]]) -> list[Measured]:
    """The finished runs with their users' values.

    Raises:
        ConfigError: if none has finished, if none has a test part, or if two of one dataset and
            seed saw different data.
    """
    finished = [entry for entry in entries if entry["status"] == "finished"]
    for entry in finished:
        if entry["test"] is None:
            print(
                f"WARNING: {entry['label']} on {entry['dataset']}, seed {entry['seed']}, has no "
                "test part and is left out of the tables"
            )
    if not finished:
        raise ConfigError(f"no run has finished; {output / 'runs.csv'} says why")
    finished = [entry for entry in finished if entry["test"] is not None]
    if not finished:
        raise ConfigError(
            "no run has a test part, of which the tables are made: the split leaves no user an "
            "interaction for it; change eval_args"
        )
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in finished:
        first = seen.setdefault((entry["dataset"], entry["seed"]), entry)
        if first["dataset_fingerprint"] != entry["dataset_fingerprint"]:
            raise ConfigError(
                f"{first['label']} and {entry['label']} saw different data of "
                f"'{entry['dataset']}' with seed {entry['seed']}, so that they cannot be compared: "
                "give them the same filters, columns and split"
            )
    return [
        Measured(e["dataset"], e["label"], e["seed"], UserValues.load(output / e["run_folder"]))
        for e in finished
    ]


def _warn_of_other_seeds(runs: Sequence[Measured]) -> None:
    """A mean over other seeds stands beside an improvement over the common ones."""
    seeds: dict[str, dict[str, set[int]]] = {}
    for run in runs:
        seeds.setdefault(run.dataset, {}).setdefault(run.model, set()).add(run.seed)
    for dataset, found in seeds.items():
        common = set.intersection(*found.values())
        odd = [model for model, own in found.items() if own != common]
        if odd:
            print(
                f"WARNING: on {dataset} {', '.join(odd)} finished seeds that others did not; their "
                "means are over all of theirs, improvements and tests over the common ones"
            )


def write_tables(
    output: Path, runs: Sequence[Measured], base: str | None, cold: int
) -> pd.DataFrame:
    """Write ``per_user.csv``, ``summary.csv``, ``summary.json``, ``table.md`` and ``table.tex``.

    Args:
        output: folder of the experiment.
        runs: finished runs.
        base: label to compare with, or None; without a finished run of it, nothing is compared.
        cold: items with at most so many training interactions are cold.

    Returns:
        The summary: see ``summarise``.
    """
    if base is not None and base not in {run.model for run in runs}:
        print(f"WARNING: no run of the base '{base}' has finished; the tables compare nothing")
        base = None
    table = user_table(runs, cold)
    summary = summarise(table, base)
    _warn_of_other_seeds(runs)
    whole = table[table["grouping"] == "all"].drop(columns=["grouping", "group"])
    write_text(output / "per_user.csv", whole.to_csv(index=False))
    write_text(output / "summary.csv", summary.to_csv(index=False))
    write_text(output / "summary.json", summary.to_json(orient="records", indent=1) + "\n")
    write_text(output / "table.md", to_markdown(summary))
    write_text(output / "table.tex", to_latex(summary))
    return summary
