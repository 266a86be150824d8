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
_IN_A_ROW = 4


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
    figure, panels = _panels(len(metrics), height=0.8 + 0.4 * len(variants))
    height = 0.8 / len(columns)
    for number, (axes, metric) in enumerate(zip(panels, metrics, strict=True)):
        rows = gains[gains["metric"] == metric].set_index("variant").reindex(variants)
        for i, (column, color) in enumerate(zip(columns, _COLORS, strict=False)):
            place = np.arange(len(variants)) + i * height
            axes.barh(place, rows[column], height, color=color, label=column.replace("_", " "))
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_title(metric)
        axes.set_yticks(np.arange(len(variants)) + height * (len(columns) - 1) / 2, variants)
        axes.tick_params(labelleft=number % _IN_A_ROW == 0)
        axes.invert_yaxis()
        axes.locator_params(axis="x", nbins=4)
    figure.supxlabel("gain over the backbone without alignment", fontsize=9)
    _legend(figure, panels[0])
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
    figure, panels = _panels(len(metrics), height=2.6)
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_panel(axes, points[points["metric"] == metric], kinds)
        axes.set_title(metric)
        axes.set_xlabel(points["key"].iloc[0])
    _legend(figure, panels[0])
    save_figure(figure, file)


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of a height in inches, four to a row at most."""
    columns = min(count, _IN_A_ROW)
    rows = -(-count // columns)
    figure = Figure(figsize=(1 + 2.8 * columns, 0.6 + height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in panels[count:]:
        spare.remove()
    return figure, panels[:count]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)


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
