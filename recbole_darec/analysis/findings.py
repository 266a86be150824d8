"""Tables in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

_EQUAL = "all rows of one are equal"
_MARGIN = 0.05
_RESTORED = 0.995


def findings(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What the tables of an analysis say, in sentences."""
    yield from _collapse(tables["shape"])
    if "structure" in tables:
        yield from _structure(tables["structure"])
        yield from _disentanglement(tables["pairs"])
    if "agreement" in tables:
        found = tables["agreement"].iloc[0]
        yield (
            f"{found['agreement']:.0%} of users and items lie in matched preference centres on "
            f"both sides ({found['by_chance']:.0%} would by chance)."
        )
    if "relevance" in tables:
        yield from _relevance(tables["relevance"])
    if "information_gap" in tables:
        yield tables["information_gap"]["verdict"][0]


def _structure(table: pd.DataFrame) -> Iterator[str]:
    for block, found in table.groupby("semantic", sort=False):
        before, after = map(_correlation, found["correlation"])
        matrices = (
            "The correlation of the two sides' similarity matrices of shared parts"
            if block == "L shared"
            else "That of the collaborative shared part's matrix with the raw text's, which this "
            "run's global term compares,"
        )
        yield f"{matrices} is {after} after training ({before} before)."


def _collapse(shape: pd.DataFrame) -> Iterator[str]:
    bad = shape[~shape["verdict"].str.startswith("no collapse")]
    for row in bad.to_dict(orient="records"):
        yield f"{row['block']} of {row['kind']} has {row['verdict']}."
    if bad.empty:
        yield "No block has collapsed."


def _disentanglement(pairs: pd.DataFrame) -> Iterator[str]:
    items = pairs[pairs["kind"] == "items"].set_index(["first", "second"])
    for side, word in (("C", "collaborative"), ("L", "semantic")):
        row = items.loc[(f"{side} specific", f"{side} shared")]
        if pd.isna(row["hsic_p"]):
            yield f"Specific and shared {word} parts of items cannot be compared: {_EQUAL}."
            continue
        related = "are dependent" if row["hsic_p"] <= 0.05 else "show no dependence"
        yield (
            f"Specific and shared {word} parts of items {related} (HSIC p = {row['hsic_p']:.3f}; "
            f"{row['mutual_information']:.2f} nats between leading components)."
        )
    shared, specific = (
        _in_common(items.loc[(f"C {part}", f"L {part}")]) for part in ("shared", "specific")
    )
    yield f"Across sides, items' shared parts have {shared}, specific parts {specific}."


def _in_common(pair: pd.Series) -> str:
    if pd.isna(pair["cka"]):
        return f"nothing in common ({_EQUAL})"
    return f"CKA {pair['cka']:.2f} and {pair['mutual_information']:.2f} nats in common"


def _correlation(value: float) -> str:
    return "undefined, one of them being the same everywhere," if pd.isna(value) else f"{value:.2f}"


def _relevance(table: pd.DataFrame) -> Iterator[str]:
    rows = table[table["block"].str.endswith(("shared", "projected"))]
    for row in rows.to_dict(orient="records"):
        block, raw = row["block"], f"{row['block'][0]} raw"
        kept, error, variance = row["nats_kept"], row["nats_kept_error"], row["variance_kept"]
        if pd.isna(kept):
            yield f"{raw} says nothing measurable of held-out interactions for {block} to keep."
            continue
        if abs(kept - variance) <= max(2 * error, _MARGIN):
            verdict = "relevant and irrelevant alike"
        elif variance >= _RESTORED:
            less = "less" if kept < 1 else "more"
            verdict = f"nothing is dropped, but its products of coordinates tell {less}"
        else:
            verdict = "more of the relevant" if kept > variance else "more of the irrelevant"
        yield (
            f"{block} keeps {kept:.0%} ± {error:.0%} of the nats of {raw} about held-out "
            f"interactions and {variance:.0%} of its variance: {verdict}."
        )
