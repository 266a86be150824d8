"""Figures of an ablation: gains beside their placebos, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recbole_darec.experiment.files import save_figure

# Okabe and Ito, which all readers can tell apart.
_COLORS = ("#0072B2", "#E69F00", "#CC79A7")


def draw_gains(gains: pd.DataFrame, kinds: Sequence[str], file: Path) -> None:
    """Bars of the gain and the placebo gains of each variant, a panel a metric.

    Args:
        gains: rows of one dataset off the curves, from ``gain_table``.
        kinds: placebos.
        file: ``.png``, ``.pdf`` or ``.svg``.
    """
    metrics = list(gains["metric"].unique())
    variants = list(gains["variant"].unique())
    columns = ["gain", *(f"{kind}_gain" for kind in kinds if f"{kind}_gain" in gains)]
    size = (1.5 + 3 * len(metrics), 1 + 0.45 * len(variants))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    height = 0.8 / len(columns)
    for axes, metric in zip(panels, metrics, strict=True):
        rows = gains[gains["metric"] == metric].set_index("variant").reindex(variants)
        for i, (column, color) in enumerate(zip(columns, _COLORS, strict=False)):
            place = np.arange(len(variants)) + i * height
            axes.barh(place, rows[column], height, color=color, label=column.replace("_", " "))
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_title(metric)
        axes.set_yticks(np.arange(len(variants)) + height * (len(columns) - 1) / 2, variants)
    panels[0].invert_yaxis()
    panels[-1].legend(fontsize=8)
    figure.supxlabel("gain over the backbone without alignment", fontsize=9)
    save_figure(figure, file)


def draw_curve(points: pd.DataFrame, kinds: Sequence[str], file: Path) -> None:
    """The metrics over the values of one key, with standard deviation over seeds and the base.

    Numbers stand in their order; names, lists and the empty value in that of the points.

    Args:
        points: rows of one dataset and key, from ``gain_table``.
        kinds: placebos.
        file: ``.png``, ``.pdf`` or ``.svg``.
    """
    metrics = list(points["metric"].unique())
    figure = Figure(figsize=(1 + 3 * len(metrics), 3), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_panel(axes, points[points["metric"] == metric], kinds)
        axes.set_title(metric)
        axes.set_xlabel(points["key"].iloc[0])
    panels[0].legend(fontsize=8)
    save_figure(figure, file)


def _draw_panel(axes: Axes, rows: pd.DataFrame, kinds: Sequence[str]) -> None:
    if rows["value"].map(lambda value: type(value) in (int, float)).all():
        rows = rows.astype({"value": float}).sort_values("value")
        values = rows["value"]
        if values.min() > 0 and values.max() / values.min() >= 10:
            axes.set_xscale("log")
    else:
        values = rows["value"].map(str)
    base = rows["mean"] - rows["gain"]
    axes.errorbar(values, rows["mean"], rows["std"], marker="o", color=_COLORS[0],
                  label="aligned", capsize=3, linewidth=1)  # fmt: skip
    for kind, color in zip(kinds, _COLORS[1:], strict=False):
        if f"{kind}_gain" in rows:
            axes.plot(values, base + rows[f"{kind}_gain"], "s--", color=color, label=kind)
    axes.plot(values, base, color="0.4", linewidth=1, label="backbone")
