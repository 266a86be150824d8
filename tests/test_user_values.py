"""Per-user values: their means are RecBole's metrics, and each is what its definition says."""

import math

import numpy as np
import pytest

from recbole_darec.keys import ConfigError
from recbole_darec.user_values import UserValues, per_user_metric, smaller_is_better, top_k_values

METRICS = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "ItemCoverage", "GAUC"]
UNIFORM = {
    "split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "RO",
    "mode": {"valid": "full", "test": "uni20"},
}  # fmt: skip


def by_hand(name, hits, positives):
    """A metric at the cut-off ``len(hits)``, in plain Python."""
    k = len(hits)
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    ideal = min(positives, k)
    return {
        "recall": len(ranks) / positives,
        "precision": len(ranks) / k,
        "hit": float(bool(ranks)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks)
        / sum(1 / math.log2(r + 1) for r in range(1, ideal + 1)),
        "map": sum(i / r for i, r in enumerate(ranks, 1)) / ideal,
    }[name]


@pytest.mark.parametrize("name", ["recall", "precision", "hit", "mrr", "ndcg", "map"])
def test_values_are_those_of_the_definition(name):
    generator = np.random.default_rng(5)
    hits = generator.random((40, 8)) < 0.3
    positives = hits.sum(axis=1) + generator.integers(1, 9, 40)
    values = top_k_values(name, hits, positives)
    for row, n, ours in zip(hits, positives, values, strict=True):
        for k in (1, 3, 8):
            assert ours[k - 1] == pytest.approx(by_hand(name, row[:k], n), abs=1e-12)


@pytest.mark.parametrize("overrides", [{}, {"eval_args": UNIFORM}])
def test_means_are_what_recbole_reports(run, overrides):
    result = run("BPR", epochs=1, metrics=METRICS, topk=[3, 7], valid_metric="MRR@7", **overrides)
    users = UserValues.load(result["run_folder"])
    assert len(users.metrics) == 12
    for name, mean in zip(users.metrics, users.values.mean(axis=0), strict=True):
        assert round(mean, 4) == result["test_result"][name]
    assert users.hits.shape == users.items.shape == (len(users.user_ids), 7)


def test_rows_belong_to_their_users(run, settings):
    """Training and test interactions of each user, counted on the files of the split."""
    from recbole_darec.config import Config
    from recbole_darec.data.preparation import create_dataset, prepare_data

    users = UserValues.load(run("Pop")["run_folder"])
    config = Config("Pop", "small", config_dict=settings)
    train, _, test = (loader._dataset for loader in prepare_data(config, create_dataset(config)))
    for i in (0, 7, 31):
        (uid,) = train.token2id("user_id", [users.user_ids[i]])
        seen = train.inter_feat["item_id"][train.inter_feat["user_id"] == uid].numpy()
        hidden = set(test.inter_feat["item_id"][test.inter_feat["user_id"] == uid].numpy())
        assert users.user_interactions[i] == len(seen)
        assert users.positives[i] == len(hidden)
        assert not set(users.items[i]) & set(seen)
        assert users.hits[i].tolist() == [item in hidden for item in users.items[i]]
    assert users.item_interactions.sum() == len(train.inter_feat)
    assert users.item_tests.sum() == len(test.inter_feat)


def test_they_are_kept_when_asked_and_possible(run):
    folder = run("Pop", save_per_user=False)["run_folder"]
    with pytest.raises(ConfigError, match="has no per_user.npz: run it with save_per_user: True"):
        UserValues.load(folder)


def test_saved_without_pickles_and_read_back(run):
    users = UserValues.load(run("Pop")["run_folder"])
    with np.load(_file(run("Pop")), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["values"], users.values)
    assert users.user_ids.dtype.kind == "U"


def _file(result):
    return f"{result['run_folder']}/per_user.npz"


def test_which_metrics_have_a_value_for_each_user():
    assert per_user_metric("NDCG@10")
    assert per_user_metric("hit")
    assert not per_user_metric("AUC")
    assert not per_user_metric("nonsense")
    assert smaller_is_better("RMSE")
    assert not smaller_is_better("recall@10")


def test_an_untested_run_has_no_test_result(settings):
    from recbole_darec.quick_start import run_recbole_darec
    from recbole_darec.run_folder import RunFolder

    given = {**settings, "epochs": 1}
    result = run_recbole_darec("BPR", "small", config_dict=given, tested=False)
    assert result["test_result"] is None
    folder = RunFolder.open(result["run_folder"])
    assert folder.read_metrics()["test_result"] is None
    assert result["best_valid_score"] == folder.read_metrics()["best_valid_score"]
    with pytest.raises(ConfigError, match=r"has no per_user\.npz"):
        UserValues.load(folder.path)
