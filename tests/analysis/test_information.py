"""Information about held-out interactions, on data where it is known which side has how much."""

from types import SimpleNamespace

import numpy as np
import pytest

from recbole_darec.analysis.held_out_pairs import HeldOutPairs
from recbole_darec.analysis.information import information, interaction_features, reduced
from recbole_darec.analysis.information_gap import InformationGap
from recbole_darec.inference.history import history_matrix
from recbole_darec.load import load

N_USERS, N_ITEMS, D = 300, 200, 4


def world(weight_first, weight_second, seed=0):
    """Pairs whose log-odds are the two sides' inner products with given weights."""
    generator = np.random.default_rng(seed)
    sides = [tuple(generator.normal(size=(n, D)) for n in (N_USERS, N_ITEMS)) for _ in range(2)]
    users, items = generator.integers(0, N_USERS, 8000), generator.integers(1, N_ITEMS, 8000)
    odds = sum(
        w * (u[users] * i[items]).sum(axis=1)
        for w, (u, i) in zip((weight_first, weight_second), sides, strict=True)
    )
    labels = (generator.random(8000) < 1 / (1 + np.exp(-odds))).astype(int)
    truth = np.log(2) - np.mean(np.log1p(np.exp(-np.where(labels == 1, odds, -odds))))
    return sides, HeldOutPairs(users, items, labels), truth


def measured(sides, pairs):
    sources = {"C": [sides[0]], "L": [sides[1]], "both": list(sides)}
    return information(sources, np.ones(N_ITEMS), pairs)


def test_the_bound_reaches_the_truth_where_the_probe_is_right():
    sides, pairs, truth = world(1.0, 0.5)
    table = measured(sides, pairs).table.set_index("source")
    assert table.loc["both", "nats"] == pytest.approx(truth, abs=3 * table.loc["both", "error"])
    assert table.loc["popularity", "nats"] == pytest.approx(0, abs=0.003)
    assert 0 < table.loc["L", "nats"] < table.loc["C", "nats"] < table.loc["both", "nats"]


def test_a_side_that_says_nothing_has_no_information_and_adds_none():
    sides, pairs, _ = world(1.0, 0.0)
    found = measured(sides, pairs)
    assert found.table.set_index("source").loc["L", "nats"] < 0.003
    gap = InformationGap.of(found, "C", "L", "both")
    assert gap.gap > 10 * gap.gap_error
    assert "would lose at least the true gap" in gap.verdict
    assert "Text adds nothing measurable" in gap.verdict


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_gap_and_adds_nothing(seed):
    """The probe overfits the wider side more, so that its bound falls below 0."""
    generator = np.random.default_rng(seed)
    sides = [tuple(generator.normal(size=(n, width)) for n in (200, N_ITEMS)) for width in (64, 8)]
    users, items = np.repeat(np.arange(200), 4), generator.integers(1, N_ITEMS, 800)
    pairs = HeldOutPairs(users, items, np.tile([1, 0], 400))
    found = measured(sides, pairs)
    assert found.table.set_index("source").loc["C", "nats"] < -0.02
    verdict = InformationGap.of(found, "C", "L", "both").verdict
    assert "not distinguishable from 0" in verdict
    assert "Text adds nothing measurable" in verdict


def test_complementary_sides_of_equal_strength():
    sides, pairs, _ = world(0.7, 0.7)
    gap = InformationGap.of(measured(sides, pairs), "C", "L", "both")
    assert gap.gap < 3 * gap.gap_error
    assert gap.gain > 5 * gap.gain_error
    assert "alignment can help" in gap.verdict


def test_errors_cover_the_spread_over_data_sets():
    """The standard error of one data set against the spread of the estimate over 12 of them."""
    tables = [measured(*world(0.8, 0.3, seed)[:2]).table for seed in range(12)]
    found = [table.set_index("source") for table in tables]
    spread = np.std([t.loc["C", "nats"] for t in found], ddof=1)
    claimed = np.mean([t.loc["C", "error"] for t in found])
    assert 0.5 < claimed / spread < 2


def test_verdict_words():
    assert "not distinguishable from 0" in InformationGap(0.01, 0.02, 0.3, 0.01).verdict


def test_pairs_are_test_interactions_and_items_never_had(finished):
    run = load(finished("BPR"))
    pairs = HeldOutPairs.of_test(run.loaders)
    test = run.loaders[2]._dataset.inter_feat
    positive = pairs.labels == 1
    expected = sorted(zip(test["user_id"].tolist(), test["item_id"].tolist(), strict=True))
    got = sorted(zip(pairs.users[positive].tolist(), pairs.items[positive].tolist(), strict=True))
    assert got == expected
    seen = history_matrix(run.loaders).toarray()
    assert not seen[pairs.users[~positive], pairs.items[~positive]].any()
    assert (pairs.items > 0).all()
    np.testing.assert_array_equal(pairs.users[positive], pairs.users[~positive])


def test_interaction_features_rebuild_the_training_matrix(finished):
    run = load(finished("BPR"))
    users, items = interaction_features(run.loaders)
    seen = history_matrix(run.loaders[:1]).toarray()
    assert users.shape[1] == 60
    np.testing.assert_allclose(users @ items.T, seen, atol=0.35)
    assert np.corrcoef((users @ items.T).ravel(), seen.ravel())[0, 1] > 0.99


def test_reduced_keeps_products_about_the_items_mean():
    generator = np.random.default_rng(0)
    users, items = generator.normal(size=(9, 5)), generator.normal(size=(7, 5))
    u, i = reduced(users, items)
    mean = items[1:].mean(axis=0)
    np.testing.assert_allclose(u @ i.T, (users - mean) @ (items - mean).T, atol=1e-10)


def test_history_is_of_the_parts_given():
    def loader(users, items):
        import torch

        feat = {"u": torch.tensor(users), "i": torch.tensor(items)}
        data = SimpleNamespace(
            inter_feat=feat, uid_field="u", iid_field="i", user_num=3, item_num=4
        )
        return SimpleNamespace(_dataset=data)

    matrix = history_matrix([loader([1, 1, 1], [2, 2, 3]), None, loader([2], [1])])
    assert matrix.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
