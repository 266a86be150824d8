"""Figures of an analysis, drawn without a display."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.manifold import TSNE
from sklearn.preprocessing import normalize

from recbole_darec.analysis.analysis import Analysis
from recbole_darec.analysis.representations import SHARED, SPECIFIC, Representations
from recbole_darec.analysis.sampling import sample
from recbole_darec.analysis.structure import similarity_matrices

# Colours that can be told apart by all readers (Okabe and Ito), on light and on dark pages.
_COLLABORATIVE, _SEMANTIC, _THIRD = "#0072B2", "#E69F00", "#009E73"
_MAP_COLORS = {
    "collaborative, users": _COLLABORATIVE,
    "collaborative, items": "#56B4E9",
    "semantic, users": "#D55E00",
    "semantic, items": _SEMANTIC,
}
_INK = "#123457"
_MAP_ROWS, _MATRIX_ROWS = 350, 300
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recbole_darec",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
}


def svg(figure: Figure) -> str:
    """The figure as inline svg; text and axes take the colour of the page's text."""
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(
            buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    return re.sub(
        r'<svg([^>]*?) width="([^"]*)" height="[^"]*"',
        r'<svg\1 style="width: 100%; max-width: \2"',
        text,
        count=1,
    )


def _new(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def maps(blocks: Representations, seed: int = 0) -> Figure:
    """t-SNE of both sides together: specific parts left, shared parts right."""
    with rc_context(_STYLE):
        figure, axes = _new(8, 3.8, 2)
        for axis, names, title in zip(
            axes, (SPECIFIC, SHARED), ("specific parts", "shared parts"), strict=True
        ):
            _map(axis, blocks, names, seed)
            axis.set_title(title)
        axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3)
    return figure


def _map(axis: Axes, blocks: Representations, names: tuple[str, str], seed: int) -> None:
    users = sample(blocks.user_rows, _MAP_ROWS, seed)
    items = sample(blocks.item_rows, _MAP_ROWS, seed)
    parts = [part for n in names for part in (blocks.users[n][users], blocks.items[n][items])]
    rows = np.concatenate(parts)
    tsne = TSNE(
        metric="cosine", init="random", random_state=seed, perplexity=min(30, len(rows) / 4)
    )
    points = np.split(tsne.fit_transform(rows), np.cumsum([len(part) for part in parts])[:-1])
    for (label, color), part in zip(_MAP_COLORS.items(), points, strict=True):
        axis.scatter(part[:, 0], part[:, 1], s=7, c=color, lw=0, label=label, rasterized=True)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def similarity(analysis: Analysis, seed: int = 0) -> Figure:
    """Cosines that the global term compares, of both sides, before and after training."""
    after = analysis.after
    chosen = sample(np.arange(len(after.joint(SHARED[0]))), _MATRIX_ROWS, seed)
    order = chosen[_along_the_main_axis(after.joint(SHARED[0])[chosen])]
    panels = _matrices(analysis, order)
    with rc_context(_STYLE):
        figure, axes = _new(8, 7, 2, 2) if len(panels) == 4 else _new(8, 3, 3)
        for axis, (title, matrix) in zip(axes, panels, strict=True):
            image = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            axis.set_title(title)
            axis.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=axes, shrink=0.6, label="cosine")
    return figure


def _matrices(analysis: Analysis, order: np.ndarray) -> list[tuple[str, np.ndarray]]:
    semantic = analysis.tables["structure"]["semantic"].iloc[-1]
    before = similarity_matrices(analysis.before, order, semantic)
    after = similarity_matrices(analysis.after, order, semantic)
    panels = [
        (f"{SHARED[0]}, before training", before[0]),
        (f"{semantic}, before training", before[1]),
        (f"{SHARED[0]}, after training", after[0]),
        (f"{semantic}, after training", after[1]),
    ]
    if np.array_equal(before[1], after[1]):  # the raw text is not trained
        panels[1:] = [panels[2], (f"{semantic}, before and after", after[1])]
    return panels


def _along_the_main_axis(rows: np.ndarray) -> np.ndarray:
    """Order in which rows of like direction are neighbours: leaves of average linkage."""
    leaves: np.ndarray = leaves_list(linkage(normalize(rows), "average"))
    return leaves


def centers(analysis: Analysis) -> Figure:
    """Cosines of every collaborative with every semantic preference centre, in matched order."""
    assert analysis.centers is not None
    matrix = analysis.centers.similarity()
    count = len(matrix)
    with rc_context(_STYLE):
        figure, (axis,) = _new(4.6, 3.8)
        image = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        ticks = range(0, count, max(1, count // 10))
        labels = [str(tick + 1) for tick in ticks]
        axis.set_xticks(list(ticks), labels)
        axis.set_yticks(list(ticks), labels)
        axis.set(xlabel="matched semantic centre", ylabel="collaborative centre")
        figure.colorbar(image, ax=axis, shrink=0.8, label="cosine")
    return figure


def losses(table: pd.DataFrame) -> Figure:
    """Each term of the loss over epochs, a panel each, since their scales differ."""
    names = [name for name in table.columns if name != "epoch"]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with rc_context(_STYLE):
        figure, axes = _new(2.6 * columns + 0.4, 1.9 * rows + 0.3, columns, rows)
        for axis, name in zip(axes, names, strict=False):
            axis.plot(table["epoch"], table[name], color=_COLLABORATIVE, lw=1.5)
            axis.set_title(name)
            axis.set_xlabel("epoch")
        for axis in axes[len(names) :]:
            axis.remove()
    return figure


def groups(table: pd.DataFrame) -> Figure:
    """Share of test interactions and of the metric by popularity group of items."""
    metrics = [name for name in table.columns if "@" in name]
    chosen = next((m for m in metrics if m.startswith("ndcg")), metrics[-1])
    total = table[chosen].sum() or 1.0
    places = np.arange(len(table))
    with rc_context(_STYLE):
        figure, (axis,) = _new(5.2, 2.8)
        axis.bar(places - 0.2, table["test_share"], 0.38, color=_THIRD, label="test interactions")
        axis.bar(places + 0.2, table[chosen] / total, 0.38, color=_COLLABORATIVE, label=chosen)
        names = [f"{g}\n{n} items" for g, n in zip(table["group"], table["items"], strict=True)]
        axis.set_xticks(places, names)
        axis.set(ylabel="share", ylim=(0, 1))
        axis.legend()
    return figure


def information(table: pd.DataFrame) -> Figure:
    """Nats about held-out interactions by source, with two standard errors."""
    with rc_context(_STYLE):
        figure, (axis,) = _new(5.6, 0.28 * len(table) + 0.8)
        colors = [
            _SEMANTIC if source == "text" or source.startswith("L ") else _COLLABORATIVE
            for source in table["source"]
        ]
        axis.barh(
            table["source"], table["nats"], xerr=2 * table["error"], color=colors, ecolor=_INK
        )
        axis.invert_yaxis()
        axis.set(xlabel="nats (at most log 2 = 0.693)")
        axis.axvline(0, color=_INK, lw=0.8)
    return figure


def pairs(table: pd.DataFrame, column: str = "cka") -> Figure:
    """One measure for all pairs of blocks: users left, items right."""
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    with rc_context(_STYLE):
        figure, axes = _new(8, 3.6, 2)
        for axis, (kind, part) in zip(axes, table.groupby("kind", sort=False), strict=True):
            matrix = pd.DataFrame(1.0, index=names, columns=names)
            for row in part.to_dict(orient="records"):
                matrix.loc[row["first"], row["second"]] = row[column]
                matrix.loc[row["second"], row["first"]] = row[column]
            _annotated(axis, matrix)
            axis.set_title(str(kind))
    return figure


def _annotated(axis: Axes, matrix: pd.DataFrame) -> None:
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(matrix)), list(matrix.columns), rotation=45, ha="right")
    axis.set_yticks(range(len(matrix)), list(matrix.index))
    for (row, column), value in np.ndenumerate(matrix.to_numpy()):
        color = "white" if value > 0.55 else "black"
        text = "-" if np.isnan(value) else f"{value:.2f}"
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
