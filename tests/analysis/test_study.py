"""Numbers of an analysis of a real run against plain loops."""

import json
from collections import Counter

import numpy as np
import pytest

from recbole_darec.analysis.groups import item_groups
from recbole_darec.analysis.held_out_pairs import HeldOutPairs
from recbole_darec.analysis.probes import number_probe
from recbole_darec.analysis.representations import Representations
from recbole_darec.analysis.study import _require_pairs, analyze
from recbole_darec.keys import ConfigError


@pytest.fixture(scope="module")
def darec(finished):
    return analyze(finished())


def unit(row):
    return row / np.linalg.norm(row)


def interactions(loader):
    feat = loader._dataset.inter_feat
    return list(zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True))


def test_distances_of_test_pairs_and_of_others(darec):
    """All 60 users and 90 items of the run have a text, and its test pairs are taken all."""
    loaders, blocks = darec.run.loaders, darec.after
    known = {pair for loader in loaders for pair in interactions(loader)}
    pairs = HeldOutPairs.of_test(loaders, 0)
    drawn = list(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
    others = [pair for pair in drawn if pair not in known]
    wanted = {"test_pairs": interactions(loaders[2]), "other_pairs": others}
    assert len(others) == len(wanted["test_pairs"]) == len(drawn) / 2
    table = darec.tables["interaction"].set_index("block")
    assert list(table.index) == list(blocks.names)
    for name in blocks.names:
        for column, chosen in wanted.items():
            distances = [
                np.sum((unit(blocks.users[name][u]) - unit(blocks.items[name][i])) ** 2)
                for u, i in chosen
            ]
            assert table.loc[name, column] == pytest.approx(np.mean(distances), abs=1e-9)


def test_results_are_those_of_the_run(darec):
    metrics = json.loads((darec.run.folder.path / "metrics.json").read_text())
    table = darec.tables["results"].set_index("metric")
    assert table["validation"].to_dict() == metrics["best_valid_result"]
    assert table["test"].to_dict() == metrics["test_result"]
    assert metrics["best_valid_result"] != metrics["test_result"]


def test_popularity_is_that_of_the_same_items(darec):
    counts = Counter(item for _, item in interactions(darec.run.loaders[0]))
    popularity = np.log1p([counts[item] for item in range(1, 91)])
    table = darec.tables["probes"].set_index("block")["popularity_r2"]
    for name, rows in darec.after.items.items():
        assert table[name] == pytest.approx(number_probe(rows[1:], popularity), abs=1e-6)


def test_test_share_of_a_group_counts_test_interactions(darec):
    trained, tested = (
        Counter(item for _, item in interactions(darec.run.loaders[part])) for part in (0, 2)
    )
    groups = item_groups(np.array([trained[item] for item in range(91)]))
    table = darec.tables["groups"].set_index("group")
    for group in table.index:
        members = [item for item in range(1, 91) if groups[item] == group]
        share = sum(tested[item] for item in members) / sum(tested.values())
        assert table.loc[group, "test_share"] == pytest.approx(share)
        assert table.loc[group, "items"] == len(members)


def test_mean_squared_difference_of_similarities(darec):
    table = darec.tables["structure"].set_index(["semantic", "when"])["mean_squared_difference"]
    for when, blocks in (("before", darec.before), ("after", darec.after)):
        first = [unit(row) for row in blocks.joint("C shared")]
        for name in table.index.unique("semantic"):
            second = [unit(row) for row in blocks.joint(name)]
            squares = [
                (first[i] @ first[j] - second[i] @ second[j]) ** 2
                for i in range(len(first))
                for j in range(i)
            ]
            found = table[name, f"{when} training"]
            assert found == pytest.approx(np.mean(squares), abs=1e-9)


def test_too_few_test_users_are_refused(finished):
    few = {"split": {"RS": [0.998, 0.001, 0.001]}, "group_by": "none", "order": "RO"}
    run = finished("Backbone", backbone="MF", epochs=1, eval_args={**few, "mode": "full"})
    with pytest.raises(ConfigError, match="^[1-4] users have test interactions; an analysis needs"):
        analyze(run)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([1, 8, 8, 8, 8, 1, 1, 1, 1, 1], "^1 test interactions are of a user and an item that"),
        ([1, 1, 1, 1, 1, 8, 8, 8, 8, 8], "^0 test pairs that did not interact are of a user and"),
    ],
)
def test_too_few_pairs_of_which_every_block_speaks_are_refused(items, message):
    rows = {"C raw": np.eye(9)}
    without_item_8 = Representations(rows, rows, np.arange(1, 9), np.arange(1, 8))
    users, labels = np.tile(np.arange(1, 6), 2), np.repeat([1, 0], 5)
    with pytest.raises(ConfigError, match=message):
        _require_pairs(without_item_8, HeldOutPairs(users, np.array(items), labels))
    _require_pairs(without_item_8, HeldOutPairs(users, np.ones(10, dtype=int), labels))
