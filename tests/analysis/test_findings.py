"""Sentences of tables made by hand."""

import numpy as np
import pandas as pd
import pytest

from recbole_darec.analysis.findings import findings

SHAPE = pd.DataFrame(
    {"block": ["C raw"], "kind": ["items"], "verdict": ["no collapse: two of two dimensions"]}
)
NO_COLLAPSE = "No block has collapsed."


def pairs(**changed):
    """Pairs of items' blocks; ``changed`` are values of column ``hsic_p`` by side."""
    rows = [
        ("C specific", "C shared", 0.2, 0.11, changed.get("C", 0.5)),
        ("L specific", "L shared", 0.3, 0.22, changed.get("L", 0.5)),
        ("C shared", "L shared", 0.4, 0.33, 0.5),
        ("C specific", "L specific", 0.6, 0.44, 0.5),
    ]
    columns = ["first", "second", "cka", "mutual_information", "hsic_p"]
    items = pd.DataFrame(rows, columns=columns).assign(kind="items")
    users = items.assign(kind="users", cka=0.9, mutual_information=0.9, hsic_p=0.001)
    return pd.concat([users, items])


def said(**tables):
    return list(findings({"shape": SHAPE, **tables}))


def structure(*correlations, semantic="L shared"):
    when = ["before training", "after training"]
    return pd.DataFrame({"semantic": semantic, "when": when, "correlation": correlations})


def test_structure_names_the_later_correlation_first():
    table = pd.concat([structure(0.1, 0.7), structure(0.2, np.nan, semantic="L raw")])
    assert said(structure=table, pairs=pairs())[1:3] == [
        "The correlation of the two sides' similarity matrices of shared parts is 0.70 after "
        "training (0.10 before).",
        "That of the collaborative shared part's matrix with the raw text's, which this run's "
        "global term compares, is undefined, one of them being the same everywhere, after training "
        "(0.20 before).",
    ]


def test_parts_are_dependent_up_to_a_p_of_5_percent():
    start = "Specific and shared {} parts of items"
    assert said(structure=structure(0, 1), pairs=pairs(C=0.04, L=0.06))[2:] == [
        f"{start.format('collaborative')} are dependent (HSIC p = 0.040; 0.11 nats between leading "
        "components).",
        f"{start.format('semantic')} show no dependence (HSIC p = 0.060; 0.22 nats between leading "
        "components).",
        "Across sides, items' shared parts have CKA 0.40 and 0.33 nats in common, specific parts "
        "CKA 0.60 and 0.44 nats in common.",
    ]


def test_equal_rows_cannot_be_compared():
    table = pairs(L=np.nan)
    table.loc[table["first"] == "C shared", "cka"] = np.nan
    found = said(structure=structure(0, 1), pairs=table)
    assert found[3] == (
        "Specific and shared semantic parts of items cannot be compared: all rows of one are equal."
    )
    assert found[4].startswith(
        "Across sides, items' shared parts have nothing in common (all rows of one are equal), "
        "specific parts CKA 0.60"
    )


@pytest.mark.parametrize(
    ("kept", "error", "variance", "verdict"),
    [
        (0.80, 0.01, 0.76, "relevant and irrelevant alike"),
        (0.80, 0.10, 0.61, "relevant and irrelevant alike"),
        (0.80, 0.10, 0.59, "more of the relevant"),
        (0.80, 0.01, 0.74, "more of the relevant"),
        (0.74, 0.01, 0.80, "more of the irrelevant"),
        (0.50, 0.01, 0.994, "more of the irrelevant"),
        (0.50, 0.01, 0.995, "nothing is dropped, but its products of coordinates tell less"),
        (1.50, 0.01, 0.995, "nothing is dropped, but its products of coordinates tell more"),
        (1.01, 0.01, 0.999, "relevant and irrelevant alike"),
    ],
)
@pytest.mark.parametrize("block", ["C shared", "C specific + shared", "L projected"])
def test_verdicts_of_relevance(block, kept, error, variance, verdict):
    row = (block, kept, error, variance)
    columns = ["block", "nats_kept", "nats_kept_error", "variance_kept"]
    table = pd.DataFrame([row, (f"{block[0]} specific", *row[1:])], columns=columns)
    assert said(relevance=table) == [
        NO_COLLAPSE,
        f"{block} keeps {kept:.0%} ± {error:.0%} of the nats of {block[0]} raw about held-out "
        f"interactions and {variance:.0%} of its variance: {verdict}.",
    ]


def test_what_else_is_said():
    bad = SHAPE.assign(verdict="collapsed to a cone")
    agreement = pd.DataFrame({"agreement": [0.42], "by_chance": [0.3]})
    gap = pd.DataFrame({"verdict": ["A gap."]})
    assert list(findings({"shape": bad, "agreement": agreement, "information_gap": gap})) == [
        "C raw of items has collapsed to a cone.",
        "42% of users and items lie in matched preference centres on both sides "
        "(30% would by chance).",
        "A gap.",
    ]
    empty = pd.DataFrame(
        {"block": ["L shared"], "nats_kept": np.nan, "nats_kept_error": 0.1, "variance_kept": 0.5}
    )
    assert said(relevance=empty)[1] == (
        "L raw says nothing measurable of held-out interactions for L shared to keep."
    )
