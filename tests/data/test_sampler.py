"""Negative items: RecBole's very draws, uniform over what a user has not interacted with."""

import numpy as np
import pytest
import torch
from recbole.data.utils import create_samplers as recboles_samplers
from recbole.sampler import Sampler
from scipy.stats import chisquare

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset
from recbole_darec.data.sampler import PHASES, PairSampler, create_samplers
from recbole_darec.keys import ConfigError


@pytest.fixture
def splits(toy):
    return create_dataset(toy()).build()


def both(splits, distribution="uniform", alpha=1.0):
    arguments = (list(PHASES), list(splits), distribution, alpha)
    return [kind(*arguments) for kind in (PairSampler, Sampler)]


def test_used_items_of_each_phase_are_recboles(splits):
    ours, theirs = both(splits)
    for phase in PHASES:
        expected = theirs.set_phase(phase).used_ids
        found = ours.set_phase(phase).used_ids
        assert [found[user] for user in range(splits[0].user_num)] == list(expected)


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
@pytest.mark.parametrize("users", [[1, 2, 3, 1, 7, 7], [4, 4, 4], [5]])
@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("phase", PHASES)
def test_the_same_random_state_gives_recboles_very_items(splits, distribution, users, num, phase):
    drawn = []
    for sampler in both(splits, distribution, alpha=0.5):
        np.random.seed(3)
        one = sampler.set_phase(phase)
        drawn.append(
            [one.sample_by_user_ids(np.array(users), np.array(users), num) for _ in range(20)]
        )
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_negatives_are_uniform_over_items_without_training_interaction(splits):
    sampler = both(splits)[0].set_phase("train")
    user = int(splits[0].inter_feat["user_id"][0])
    used = set(splits[0].inter_feat["item_id"][splits[0].inter_feat["user_id"] == user].tolist())
    np.random.seed(0)
    drawn = sampler.sample_by_user_ids(np.full(20_000, user), None, 1).numpy()
    counts = np.bincount(drawn, minlength=splits[0].item_num)
    free = [item for item in range(1, splits[0].item_num) if item not in used]
    assert counts.sum() == counts[free].sum()
    assert chisquare(counts[free]).pvalue > 0.001
    shifted = counts[free] + np.where(np.arange(len(free)) % 2, 60, -60)
    assert chisquare(shifted).pvalue < 0.001


def test_a_user_with_all_items_is_named_before_sampling_hangs(toy):
    splits = create_dataset(toy()).build()
    n = splits[0].item_num
    for name, values in (("user_id", torch.ones(n - 1)), ("item_id", torch.arange(1, n))):
        column = splits[0].inter_feat[name]
        splits[0].inter_feat.interaction[name] = torch.cat([column, values.long()])
    with pytest.raises(ConfigError, match=f"1 users have interacted with all {n - 1} items"):
        both(splits)


def test_by_popularity_a_user_with_all_items_that_occur_is_named_too(toy):
    """RecBole would draw for ever: an item that is in no interaction is never drawn."""
    splits = create_dataset(toy()).build()
    occurring = torch.cat([split.inter_feat["item_id"] for split in splits]).unique()
    kept = occurring[:-1]
    for split in splits:
        split.inter_feat = split.inter_feat[split.inter_feat["item_id"] != occurring[-1]]
    for name, values in (("user_id", torch.ones(len(kept))), ("item_id", kept)):
        column = splits[0].inter_feat[name]
        splits[0].inter_feat.interaction[name] = torch.cat([column, values.long()])
    sampler = PairSampler(list(PHASES), list(splits), "uniform", 1.0)
    with pytest.raises(ConfigError, match=f"1 users have interacted with all {len(kept)} items"):
        sampler.set_distribution("popularity")


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("BPR", {}),
        ("BPR", {"eval_args": {"mode": {"valid": "uni5", "test": "pop5"}}}),
        ("BPR", {"train_neg_sample_args": {"distribution": "popularity", "alpha": 0.5}}),
        ("MultiDAE", {"train_neg_sample_args": None}),
    ],
)
def test_a_sampler_for_each_phase_as_recbole_makes_them(settings, model, changes):
    config = Config(model, "small", config_dict={**settings, **changes})
    dataset = create_dataset(config)
    splits = dataset.build()
    ours = create_samplers(config, dataset, splits)
    theirs = recboles_samplers(config, dataset, splits)
    for phase, one, other in zip(PHASES, ours, theirs, strict=True):
        assert (
            (one is None) == (other is None) == (changes.get(f"{phase}_neg_sample_args", 1) is None)
        )
        if one is not None:
            assert isinstance(one, PairSampler)
            for name in ("phase", "distribution", "alpha"):
                assert getattr(one, name) == getattr(other, name)
            assert getattr(one, "prob", None) == getattr(other, "prob", None)
