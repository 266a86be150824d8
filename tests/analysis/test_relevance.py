"""Shares of relevant and irrelevant information, on data where both are planted."""

import numpy as np
import pandas as pd
import pytest

from recbole_darec.analysis.findings import findings
from recbole_darec.analysis.held_out_pairs import HeldOutPairs
from recbole_darec.analysis.information import Information, information
from recbole_darec.analysis.relevance import relevance, split_parts
from recbole_darec.analysis.representations import Representations

N, RELEVANT, IRRELEVANT = 400, 4, 12


@pytest.fixture(scope="module")
def planted():
    """Interactions depend on 4 of 16 columns of each side: those of ``C shared``.

    On the semantic side it is the specific part that has the relevant columns.
    """
    generator = np.random.default_rng(0)
    kinds = {}
    for kind in ("users", "items"):
        relevant, noise = (generator.normal(size=(N, width)) for width in (RELEVANT, IRRELEVANT))
        raw = np.hstack([relevant, noise])
        kinds[kind] = {
            "C raw": raw,
            "C specific": noise[:, :4],
            "C shared": relevant,
            "L specific": relevant,
            "L shared": noise,
            "L raw": raw,
        }
    users, items = (generator.integers(1, N, 10_000) for _ in range(2))
    odds = (kinds["users"]["C shared"][users] * kinds["items"]["C shared"][items]).sum(axis=1)
    labels = (generator.random(10_000) < 1 / (1 + np.exp(-odds))).astype(int)
    blocks = Representations(**kinds, user_rows=np.arange(1, N), item_rows=np.arange(1, N))
    sources = {
        "text" if name == "L raw" else name: [(blocks.users[p], blocks.items[p]) for p in parts]
        for name, parts in split_parts(blocks).items()
    }
    measured = information(sources, np.ones(N), HeldOutPairs(users, items, labels))
    return blocks, measured


def test_planted_irrelevant_columns_are_told_from_relevant_ones(planted):
    table = relevance(*planted).set_index("block")
    expected = {
        "C raw": (1, 1),
        "C specific": (0, 4 / 16),
        "C shared": (1, 4 / 16),
        "C specific + shared": (1, 8 / 16),
        "L specific": (1, 4 / 16),
        "L shared": (0, 12 / 16),
        "L raw": (1, 1),
        "L specific + shared": (1, 1),
    }
    assert set(table.index) == set(expected)
    assert list(table.index)[:4] == [name for name in expected if name.startswith("C")]
    for block, (nats, variance) in expected.items():
        row = table.loc[block]
        assert row["nats_kept"] == pytest.approx(nats, abs=0.03), block
        assert row["variance_kept"] == pytest.approx(variance, abs=0.03), block
        assert 0 <= row["nats_kept_error"] < 0.05


def test_findings_say_what_a_block_keeps(planted):
    table = relevance(*planted)
    shape = pd.DataFrame({"verdict": ["no collapse: all"]})
    said = list(findings({"shape": shape, "relevance": table}))
    verdicts = {line.split(" keeps ")[0]: line.rsplit(": ", 1)[1] for line in said[1:]}
    assert verdicts == {
        "C shared": "more of the relevant.",
        "C specific + shared": "more of the relevant.",
        "L shared": "more of the irrelevant.",
        "L specific + shared": "relevant and irrelevant alike.",
    }


def test_a_linear_map_of_full_rank_drops_nothing(planted):
    """As a one-layer encoder is: it may hide from the products, but loses nothing."""
    blocks, measured = planted
    scale = np.array([0.5] * RELEVANT + [2.0] * IRRELEVANT)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(16, 16)))[0]
    kinds = {
        kind: rows | {"C shared": rows["C raw"] * scale @ turn}
        for kind, rows in (("users", blocks.users), ("items", blocks.items))
    }
    mapped = Representations(**kinds, user_rows=blocks.user_rows, item_rows=blocks.item_rows)
    table = measured.table.set_index("source")
    table.loc["C shared", "nats"] *= 0.5
    found = relevance(mapped, Information(table.reset_index(), measured.draws))
    kept = found.set_index("block").loc["C shared", "variance_kept"]
    assert kept == pytest.approx(1, abs=5e-3)
    shape = pd.DataFrame({"verdict": ["no collapse: all"]})
    said = next(line for line in findings({"shape": shape, "relevance": found}) if "keeps" in line)
    assert said.startswith("C shared keeps 50%")
    assert said.endswith("nothing is dropped, but its products of coordinates tell less.")


def test_a_raw_side_that_says_nothing_has_nothing_to_keep(planted):
    blocks, measured = planted
    nats = measured.table.assign(nats=0.001, error=0.001)
    table = relevance(blocks, Information(nats, measured.draws))
    assert table[["nats_kept", "nats_kept_error"]].isna().all(axis=None)
    shape = pd.DataFrame({"verdict": ["no collapse: all"]})
    said = list(findings({"shape": shape, "relevance": table}))
    assert said[1] == (
        "C raw says nothing measurable of held-out interactions for C shared to keep."
    )


def test_representations_of_a_run_without_disentanglement():
    rows = {"C raw": np.eye(3), "L raw": np.eye(3), "L projected": np.eye(3)}
    blocks = Representations(rows, rows, np.arange(3), np.arange(3))
    assert split_parts(blocks) == {name: (name,) for name in rows}
