"""Groups: who is in them, and that their contributions sum to the whole."""

import numpy as np
import pytest

from recbole_darec.analysis.groups import ITEM_GROUPS, contributions, item_groups, user_groups
from recbole_darec.analysis.tables import Measured, summarise, user_table
from recbole_darec.user_values import UserValues


def test_users_in_thirds():
    groups = user_groups(np.array([9, 1, 2, 3, 4, 5, 6, 7, 8]))
    assert list(groups) == ["many", *["few"] * 3, *["some"] * 3, *["many"] * 2]


def test_users_with_equal_numbers_stay_together():
    groups = user_groups(np.array([3, 3, 3, 3, 3, 9]))
    assert list(groups) == ["few"] * 5 + ["many"]


def test_items_by_hand():
    """Ten items: above the 80 % quantile head, at most the median tail, at most 2 cold."""
    counts = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    groups = item_groups(counts, cold=2)
    assert list(groups[1:]) == ["cold"] * 2 + ["tail"] * 3 + ["mid"] * 3 + ["head"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": 0.7}, "sum to at most 1, got 0.7, 0.5"),
        ({"tail": 0.0}, "must be shares"),
        ({"cold": -1}, "cold must be a number of interactions >= 0, got -1"),
    ],
)
def test_bad_bounds(options, message):
    with pytest.raises(ValueError, match=message):
        item_groups(np.arange(5), **options)


IDEAL = 1 + 1 / np.log2(3)


def one_user(item_interactions):
    """Hits at ranks 1 and 3 on items 1 and 3, two positives, cut-off 3."""
    return UserValues(
        user_ids=np.array(["u"]),
        user_interactions=np.array([3]),
        metrics=np.array(["recall@3", "mrr@3", "ndcg@3", "map@3", "hit@1"]),
        values=np.array([[1.0, 1.0, 1.5 / IDEAL, 0.5 + (2 / 3) / 2, 1.0]]),
        items=np.array([[1, 2, 3]]),
        hits=np.array([[True, False, True]]),
        positives=np.array([2]),
        item_interactions=np.array(item_interactions),
        item_tests=np.array([0, 1, 0, 1]),
    )


def test_contributions_by_hand():
    parts = contributions(one_user([0, 9, 9, 1]), np.array(["tail", "head", "head", "tail"]))
    assert parts["head"][0] == pytest.approx([0.5, 1.0, 1 / IDEAL, 0.5, 1.0])
    assert parts["tail"][0] == pytest.approx([0.5, 0.0, 0.5 / IDEAL, (2 / 3) / 2, 0.0])
    assert set(parts) == set(ITEM_GROUPS)
    assert not parts["mid"].any()


def test_groups_sum_to_the_whole_over_splits_with_different_groups():
    """Item 3 is cold with seed 1 and in the tail, as all others, with seed 2."""
    runs = [
        Measured("d", "m", seed, one_user([0, 9, 9, count])) for seed, count in ((1, 1), (2, 9))
    ]
    table = user_table(runs, cold=2)
    mean = summarise(table).set_index(["grouping", "group", "metric"]).sort_index()["mean"]
    assert mean["items", "tail", "recall@3"] == pytest.approx(0.75)
    assert mean["items", "cold", "recall@3"] == pytest.approx(0.25)
    sums = mean["items"].groupby("metric").sum()
    assert sums.to_dict() == pytest.approx(mean["all", "all"].to_dict())


def test_groups_sum_to_the_whole_for_every_metric(run):
    names = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP"]
    result = run("BPR", epochs=2, metrics=names, topk=[2, 10], valid_metric="MRR@10")
    users = UserValues.load(result["run_folder"])
    groups = item_groups(users.item_interactions, cold=10)
    assert set(groups) >= {"head", "mid", "cold"}
    parts = contributions(users, groups)
    assert np.allclose(sum(parts.values()), users.values, atol=1e-12)
    assert min(part.min() for part in parts.values()) > -1e-12
