"""Gains of an ablation, and what of them is left when the embeddings mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from recbole_darec.analysis.tables import latex, summarise
from recbole_darec.experiment.ablation import Member

_PLACE = ["dataset", "metric"]


def gain_table(table: pd.DataFrame, members: Sequence[Member]) -> pd.DataFrame:
    """Gain, placebo gain and their difference, each with its p-value.

    p-values are those of ``summarise``: one-sided, Wilcoxon over users, Holm-corrected over the
    metrics; ``*_p_seeds`` is the t-test over seeds, likewise corrected.

    Args:
        table: as made by ``analysis.tables.user_table``; a member whose runs failed is left out.
        members: lines of the ablation; the first off the curves is the reference.

    Returns:
        One row a dataset, member and metric.
    """
    whole = table[table["grouping"] == "all"]
    there = set(whole["model"])
    reference = next((m.label for m in members if m.curve is None), None)
    frames = []
    for member in members:
        if not {member.label, member.base} <= there:
            continue
        rows = _against(whole, member.label, member.base, "gain")
        for kind, placebo in member.placebos.items():
            if placebo in there:
                gain = _against(whole, placebo, member.base, f"{kind}_gain")
                left = _against(whole, member.label, placebo, f"{kind}_difference")
                kept = [c for c in gain if c not in (*_PLACE, "n_seeds", "mean", "std")]
                rows = rows.merge(gain[[*_PLACE, *kept]], on=_PLACE, how="left")
                kept = [c for c in left if c.startswith(f"{kind}_difference")]
                rows = rows.merge(left[[*_PLACE, *kept]], on=_PLACE, how="left")
        if reference in there - {member.label} and member.curve is None:
            loss = _against(whole, str(reference), member.label, "reference_advantage")
            kept = [c for c in loss if c.startswith("reference_advantage")]
            rows = rows.merge(loss[[*_PLACE, *kept]], on=_PLACE, how="left")
        key, value = member.curve or (None, None)
        frames.append(rows.assign(variant=member.label, key=key, value=[value] * len(rows)))
    if not frames:
        return pd.DataFrame()
    found = pd.concat(frames, ignore_index=True)
    first = ["dataset", "variant", "key", "value", "metric"]
    return found[[*first, *(column for column in found if column not in first)]]


def _against(whole: pd.DataFrame, label: str, base: str, name: str) -> pd.DataFrame:
    """Mean of ``label`` and its advantage over ``base`` under ``name``, by dataset and metric."""
    summary = summarise(whole[whole["model"].isin([label, base])], base)
    rows = summary[summary["model"] == label]
    wanted = {
        "difference": name,
        "improvement_percent": f"{name}_percent",
        "p_wilcoxon_users_holm": f"{name}_p",
        "p_t_seeds_holm": f"{name}_p_seeds",
    }
    kept = rows.reindex(columns=[*_PLACE, "n_seeds", "mean", "std", *wanted])
    return kept.rename(columns=wanted).reset_index(drop=True)


def gains_as_markdown(gains: pd.DataFrame, kinds: Sequence[str]) -> str:
    """The table of gains for reading: a section a dataset, a row a variant and metric."""
    lines = []
    for dataset, part in gains.groupby("dataset", sort=False):
        text = shown_gains(part, kinds).to_markdown(index=False, disable_numparse=True)
        lines += [f"## {dataset}", "", _MEANING, "", text, ""]
    return "\n".join(lines)


def gains_as_latex(gains: pd.DataFrame, kinds: Sequence[str]) -> str:
    """The table of gains in LaTeX (package booktabs): a table a dataset."""
    tables = []
    for dataset, part in gains.groupby("dataset", sort=False):
        shown = shown_gains(part, kinds).map(latex).rename(columns=latex)
        tables.append(
            shown.to_latex(
                index=False, escape=False, caption=latex(f"{dataset}: {_MEANING}"), position="t"
            )
        )
    return "\n".join(tables)


_MEANING = (
    "Gain: over the same backbone without alignment. Placebo gain: that of the same model with "
    "embeddings that mean nothing. Difference: what only meaning explains. p: one-sided, Wilcoxon "
    "over users, Holm-corrected over the metrics."
)


def shown_gains(gains: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """Gains as text, rounded, without the columns that only a machine reads."""
    columns: dict[str, Any] = {
        "variant": gains["variant"],
        "metric": gains["metric"],
        "value": [
            f"{mean:.4f}" + ("" if np.isnan(std) else f" ± {std:.4f}")
            for mean, std in zip(gains["mean"], gains["std"], strict=True)
        ],
        "gain": _signed(gains["gain"]),
        "p": _p(gains["gain_p"]),
    }
    for kind in kinds:
        if f"{kind}_gain" in gains:
            columns[f"{kind} gain"] = _signed(gains[f"{kind}_gain"])
            columns[f"gain - {kind} gain"] = _signed(gains[f"{kind}_difference"])
            columns[f"p ({kind})"] = _p(gains[f"{kind}_difference_p"])
    if "reference_advantage" in gains:
        columns["first variant's advantage"] = _signed(gains["reference_advantage"])
        columns["p (advantage)"] = _p(gains["reference_advantage_p"])
    return pd.DataFrame(columns)


def _signed(values: pd.Series) -> list[str]:
    return ["" if np.isnan(value) else f"{value:+.4f}" for value in values]


def _p(values: pd.Series) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.3g}" for value in values]
