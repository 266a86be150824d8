"""Training batches are those of RecBole's loader, to the number and in its order."""

import numpy as np
import pytest
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.sampler import Sampler
from recbole.utils import init_seed

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset, prepare_data
from recbole_darec.data.sampler import PHASES
from recbole_darec.data.train_loader import TrainLoader

IDS = {"user_id", "item_id", "neg_item_id"}


@pytest.fixture
def loaders(settings):
    """Ours and RecBole's on one split of a dataset with ratings and item features."""

    def make(model="Backbone", **changes):
        config = Config(
            model, "small", config_dict={**settings, "train_batch_size": 500, **changes}
        )
        init_seed(1, True)
        ours = prepare_data(config, create_dataset(config))[0]
        init_seed(1, True)
        splits = create_dataset(config).build()
        arguments = config["train_neg_sample_args"]
        sampler = None
        if arguments["distribution"] != "none":
            sampler = Sampler(list(PHASES), splits, arguments["distribution"], arguments["alpha"])
            sampler = sampler.set_phase("train")
        return ours, TrainDataLoader(config, splits[0], sampler, shuffle=config["shuffle"])

    return make


def epochs_of(loader, count=2):
    init_seed(7, True)
    return [list(loader) for _ in range(count)]


def assert_same_batches(ours, theirs, fields=None):
    for our_epoch, their_epoch in zip(epochs_of(ours), epochs_of(theirs), strict=True):
        for one, other in zip(our_epoch, their_epoch, strict=True):
            assert set(one.columns) == (fields or set(other.columns))
            for field in one.columns:
                assert torch.equal(one[field], other[field]), field
    assert len(ours) == len(theirs) == len(our_epoch)


@pytest.mark.parametrize("negatives", [1, 3])
def test_our_models_get_the_ids_of_recboles_batches(loaders, negatives):
    arguments = {"distribution": "uniform", "sample_num": negatives}
    ours, theirs = loaders(train_neg_sample_args=arguments)
    assert type(ours) is TrainLoader
    assert len(ours) > 1
    assert_same_batches(ours, theirs, IDS)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("BPR", {}),
        ("BPR", {"shuffle": False}),
        ("BPR", {"train_neg_sample_args": {"distribution": "popularity", "sample_num": 2}}),
        ("DMF", {}),
        ("EASE", {}),
    ],
)
def test_recboles_models_get_every_field_of_recboles_batches(loaders, model, changes):
    ours, theirs = loaders(model, **changes)
    assert type(ours) is TrainLoader
    assert_same_batches(ours, theirs)


def test_dynamic_sampling_is_recboles(loaders):
    arguments = {"distribution": "uniform", "sample_num": 1, "dynamic": True, "candidate_num": 4}
    ours, theirs = loaders(train_neg_sample_args=arguments)

    class Scorer(torch.nn.Module):
        device = torch.device("cpu")

        def predict(self, interaction):
            return interaction["item_id"] * 7 % 11 + interaction["user_id"]

    for loader in (ours, theirs):
        loader.get_model(Scorer())
    assert_same_batches(ours, theirs)


def test_an_epoch_holds_each_interaction_once_in_an_order_of_its_own(loaders):
    ours, _ = loaders()
    data = ours._dataset.inter_feat
    expected = sorted(zip(data["user_id"].tolist(), data["item_id"].tolist(), strict=True))
    seen = []
    for epoch in epochs_of(ours):
        columns = [torch.cat([batch[name] for batch in epoch]).tolist() for name in sorted(IDS)]
        items, negatives, users = columns
        seen.append(list(zip(users, items, strict=True)))
        assert sorted(seen[-1]) == expected
        assert not set(zip(users, negatives, strict=True)) & set(expected)
    assert seen[0] != seen[1]


def test_saved_random_states_repeat_the_epochs_that_follow(loaders):
    ours, _ = loaders()
    list(ours)
    states = ours.generator.get_state(), np.random.get_state()
    expected = [batch["neg_item_id"] for batch in ours]
    fresh, _ = loaders()
    fresh.generator.set_state(states[0])
    np.random.set_state(states[1])
    found = [batch["neg_item_id"] for batch in fresh]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_worker_processes_are_left_to_recbole(loaders):
    ours, _ = loaders("BPR", worker=1)
    assert type(ours) is TrainDataLoader
