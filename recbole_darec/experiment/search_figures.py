"""Figures of a search: which keys matter, and which values go together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.plotting import parallel_coordinates
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from recbole_darec.experiment.files import save_figure
from recbole_darec.experiment.search_space import Dimension

_THIRDS = ["lower third", "middle third", "upper third"]


def importance(
    trials: pd.DataFrame, dimensions: Mapping[str, Dimension], score: str
) -> pd.DataFrame:
    """Permutation importance of each key for the score, by a random forest over the trials.

    Breiman, *Random Forests*, Machine Learning 45, 2001, section 10. It describes these trials;
    with few of them it is a hint at most.

    Args:
        trials: one row a trial, a column a key; only rows with a score count.
        dimensions: the searched keys.
        score: column to explain.

    Returns:
        Columns key, importance (fall of R^2 when the key's values are shuffled) and std, the most
        important first.
    """
    rows = trials[trials[score].notna()]
    values = coordinates(rows, dimensions)
    forest = RandomForestRegressor(n_estimators=200, random_state=0).fit(values, rows[score])
    found = permutation_importance(forest, values, rows[score], n_repeats=20, random_state=0)
    table = pd.DataFrame(
        {"key": values.columns, "importance": found.importances_mean, "std": found.importances_std}
    )
    return table.sort_values("importance", ascending=False, ignore_index=True)


def coordinates(trials: pd.DataFrame, dimensions: Mapping[str, Dimension]) -> pd.DataFrame:
    """Values of the keys between 0 and 1: the place among the choices or between the bounds."""
    columns: dict[str, Any] = {}
    for key, dimension in dimensions.items():
        if dimension.kind == "choice":
            last = max(len(dimension.values) - 1, 1)
            columns[key] = [dimension.values.index(value) / last for value in trials[key]]
            continue
        scale = np.log if dimension.kind == "loguniform" else np.asarray
        low, high = (scale(bound) for bound in dimension.bounds)
        columns[key] = (scale(trials[key].to_numpy(dtype=float)) - low) / (high - low)
    return pd.DataFrame(columns, index=trials.index)


def draw_importance(table: pd.DataFrame, file: Path) -> None:
    """Bars of the result of ``importance``."""
    figure = Figure(figsize=(6, 1 + 0.4 * len(table)), layout="constrained")
    axes = figure.subplots()
    axes.barh(table["key"], table["importance"], xerr=table["std"], color="tab:blue")
    axes.invert_yaxis()
    axes.set_xlabel("permutation importance (fall of $R^2$)")
    save_figure(figure, file)


def draw_parallel_coordinates(
    trials: pd.DataFrame, dimensions: Mapping[str, Dimension], score: str, file: Path
) -> None:
    """A line a trial over the keys, coloured by the third of its score."""
    rows = trials[trials[score].notna()]
    values = coordinates(rows, dimensions)
    low, high = rows[score].min(), rows[score].max()
    values[score] = (rows[score] - low) / (high - low) if high > low else 0.5
    values["third"] = pd.cut(rows[score].rank(pct=True), [0, 1 / 3, 2 / 3, 1], labels=_THIRDS)
    figure = Figure(figsize=(2 + 1.5 * len(values.columns), 4), layout="constrained")
    axes = figure.subplots()
    parallel_coordinates(
        values.sort_values(score), "third", ax=axes, color=["0.7", "tab:blue", "tab:red"], alpha=0.8
    )
    axes.legend().remove()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    ticks = [f"{key}\n{_range(dimension)}" for key, dimension in dimensions.items()]
    axes.set_xticklabels([*ticks, f"{score}\n{low:g} to {high:g}"], fontsize=8)
    axes.set_yticks([])
    save_figure(figure, file)


def _range(dimension: Dimension) -> str:
    low, high = dimension.corners()[0], dimension.corners()[-1]
    return " to ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in (low, high))
