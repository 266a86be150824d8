"""Tables of a comparison: means, improvement over a base and its significance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_darec.analysis.groups import contributions, item_groups, user_groups
from recbole_darec.analysis.significance import holm, paired_test
from recbole_darec.keys import ConfigError
from recbole_darec.user_values import UserValues, smaller_is_better

PLACE = ["dataset", "grouping", "group"]
TESTS = ("p_wilcoxon_users", "p_t_users", "p_t_seeds")


class Measured(NamedTuple):
    """A finished run as the tables see it."""

    dataset: str
    model: str
    seed: int
    users: UserValues


def user_table(runs: Iterable[Measured], cold: int = 5) -> pd.DataFrame:
    """One row a run, group and user: the whole, groups of users, groups of items.

    In rows of grouping ``items`` the metrics are what the hits on the group contribute.

    Args:
        runs: finished runs.
        cold: items with at most so many training interactions are cold.

    Returns:
        Columns dataset, model, seed, grouping, group, user_id and one for each metric.
    """
    frames = []
    for run in runs:
        users = run.users
        parts = contributions(users, item_groups(users.item_interactions, cold))
        rows = [
            ("all", "all", users.values),
            ("users", user_groups(users.user_interactions), users.values),
            *(("items", group, part) for group, part in parts.items()),
        ]
        for grouping, group, values in rows:
            frame = pd.DataFrame(values, columns=list(users.metrics))
            frame.insert(0, "user_id", users.user_ids)
            for name, value in (
                ("group", group), ("grouping", grouping), ("seed", run.seed),
                ("model", run.model), ("dataset", run.dataset),
            ):  # fmt: skip
                frame.insert(0, name, value)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def summarise(table: pd.DataFrame, base: str | None = None) -> pd.DataFrame:
    """Mean and standard deviation over seeds; against the base, improvement and significance.

    Tests over users pair the users' means over the seeds, so that a user counts once however
    many seeds there are; tests over seeds pair the means over users. Both use only seeds that
    the model and the base have in common. All are one-sided (the model is better), and each is
    Holm-corrected over the metrics.

    Args:
        table: as made by ``user_table``.
        base: the model to compare with; None: no comparison.

    Returns:
        One row a dataset, grouping, group, model and metric.

    Raises:
        ConfigError: if the base is not there, or tested users differ from those of a model.
    """
    if base is not None and base not in set(table["model"]):
        known = ", ".join(sorted(set(table["model"])))
        raise ConfigError(f"the base '{base}' has no finished run; models with one: {known}")
    metrics = _metrics(table)
    rows = []
    for place, part in table.groupby(PLACE, sort=False):
        where = dict(zip(PLACE, place, strict=True))
        for model, ours in part.groupby("model", sort=False):
            seeds = ours.groupby("seed")[metrics].mean()
            size = {"n_seeds": len(seeds), "n_users": len(ours) / len(seeds)}
            compared = _against(part, model, base, metrics) if base not in (None, model) else {}
            for metric in metrics:
                found = {"mean": seeds[metric].mean(), "std": seeds[metric].std(ddof=1)}
                row = {**where, "model": model, "metric": metric, **size, **found}
                rows.append(row | compared.get(metric, {}))
    return pd.DataFrame(rows)


def _against(
    part: pd.DataFrame, model: str, base: str, metrics: list[str]
) -> dict[str, dict[str, float]]:
    """Improvement and tests of ``model`` against ``base`` by metric, on one group."""
    ours, theirs = _paired(part, model, base)
    if ours.empty:
        return {}
    found: dict[str, dict[str, float]] = {}
    for metric in metrics:
        smaller = smaller_is_better(metric)
        users, seeds = (
            paired_test(_means(ours, by, metric), _means(theirs, by, metric), smaller)
            for by in ("user_id", "seed")
        )
        base_mean = theirs.groupby("seed")[metric].mean().mean()
        found[metric] = {
            "base_mean": base_mean,
            "difference": seeds.difference,
            "improvement_percent": 100 * seeds.difference / base_mean if base_mean else np.nan,
            "effect_size": users.effect_size,
            "p_wilcoxon_users": users.p_wilcoxon,
            "p_t_users": users.p_t,
            "p_t_seeds": seeds.p_t,
        }
    for test in TESTS:
        corrected = holm(np.array([found[metric][test] for metric in metrics]))
        for metric, value in zip(metrics, corrected, strict=True):
            found[metric][f"{test}_holm"] = float(value)
    return found


def _paired(part: pd.DataFrame, model: str, base: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of both models on the seeds that they share, in one order of seeds and users."""
    order = ["seed", "user_id"]
    ours, theirs = (part[part["model"] == name].sort_values(order) for name in (model, base))
    common = set(ours["seed"]) & set(theirs["seed"])
    ours, theirs = (frame[frame["seed"].isin(common)] for frame in (ours, theirs))
    if not np.array_equal(ours[order].to_numpy(), theirs[order].to_numpy()):
        raise ConfigError(
            f"{model} and {base} were not tested on the same users of "
            f"'{part['dataset'].iloc[0]}': give both the same data, filters and split"
        )
    return ours, theirs


def _means(frame: pd.DataFrame, by: str, metric: str) -> np.ndarray:
    means: np.ndarray = frame.groupby(by)[metric].mean().to_numpy()
    return means


def _metrics(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in (*PLACE, "model", "seed", "user_id")]


def to_markdown(summary: pd.DataFrame) -> str:
    """The summary as Markdown: for each dataset the means, p-values and groups."""
    lines = []
    for dataset, part in summary.groupby("dataset", sort=False):
        whole = part[part["grouping"] == "all"]
        lines += [
            f"## {dataset}",
            "",
            _MEANING,
            "",
            _wide(whole, ["model"]).to_markdown(index=False),
        ]
        tests = p_values(whole)
        if not tests.empty:
            text = tests.to_markdown(index=False, floatfmt=".3g")
            lines += ["", f"{_TESTED}:", "", text]
        for grouping, title in _GROUPINGS.items():
            rows = part[part["grouping"] == grouping]
            text = _wide(rows, ["group", "model"]).to_markdown(index=False)
            lines += ["", f"### {title}", "", text]
        lines.append("")
    return "\n".join(lines)


def to_latex(summary: pd.DataFrame) -> str:
    """The summary as LaTeX tables (package booktabs): for each dataset means, p-values, groups."""
    tables = []
    for dataset, part in summary.groupby("dataset", sort=False):
        whole = part[part["grouping"] == "all"]
        tables.append(_latex_table(_wide(whole, ["model"]), f"{dataset}: {_MEANING}"))
        tests = p_values(whole)
        if not tests.empty:
            shown = tests.map(lambda cell: cell if isinstance(cell, str) else f"{cell:.3g}")
            tables.append(_latex_table(shown.replace("nan", ""), f"{dataset}: {_TESTED}."))
        for grouping, title in _GROUPINGS.items():
            rows = part[part["grouping"] == grouping]
            tables.append(_latex_table(_wide(rows, ["group", "model"]), f"{dataset}: {title}."))
    return "\n".join(tables)


def _latex_table(cells: pd.DataFrame, caption: str) -> str:
    escaped = cells.map(latex).rename(columns=latex)
    text: str = escaped.to_latex(index=False, escape=False, caption=latex(caption), position="t")
    return text


def p_values(whole: pd.DataFrame) -> pd.DataFrame:
    """Holm-corrected p-values and effect sizes of the rows that were compared with a base."""
    if "effect_size" not in whole:
        return pd.DataFrame()
    columns = ["model", "metric", *(f"{test}_holm" for test in TESTS), "effect_size"]
    names = {f"{test}_holm": test.removeprefix("p_").replace("_", " ") for test in TESTS}
    compared: pd.DataFrame = whole.loc[whole["effect_size"].notna(), columns]
    return compared.rename(columns=names)


_MEANING = (
    "Mean ± standard deviation over seeds (improvement over the base); * Wilcoxon over users, "
    "Holm-corrected p < 0.05."
)
_TESTED = "One-sided p (model better than base), Holm-corrected, and effect size"
_GROUPINGS = {
    "users": "users by training interactions",
    "items": "contribution of the hits on items by popularity; the groups sum to the whole",
}


def _wide(rows: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    text = rows.assign(cell=[_cell(row) for row in rows.to_dict("records")])
    wide = text.pivot_table(
        index=index, columns="metric", values="cell", aggfunc="first", sort=False
    )
    return wide.reset_index().rename_axis(columns=None)


def _cell(row: dict[str, float]) -> str:
    text = f"{row['mean']:.4f}"
    if not np.isnan(row["std"]):
        text += f" ± {row['std']:.4f}"
    if not np.isnan(row.get("improvement_percent", np.nan)):
        star = "*" if row["p_wilcoxon_users_holm"] < 0.05 else ""
        text += f" ({row['improvement_percent']:+.1f} %){star}"
    return text


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "#$%&_{}"}
    | {character: f"${character}$" for character in "<>|"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"±": r"$\pm$"}
)


def latex(text: str) -> str:
    """Text with LaTeX's special characters written as commands."""
    return text.translate(_LATEX)
