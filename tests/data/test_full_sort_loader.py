"""Full-sort evaluation in batches of users reports RecBole's metrics to the last digit."""

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.sampler import Sampler
from recbole.utils import get_model, get_trainer, init_seed

from recbole_darec.collector import TopKCollector
from recbole_darec.config import Config
from recbole_darec.data import full_sort_loader
from recbole_darec.data.full_sort_loader import UserBatchLoader
from recbole_darec.data.preparation import create_dataset
from recbole_darec.data.sampler import PHASES, PairSampler

TOP_K = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP"]
NOT_ACCURACY = [
    "ItemCoverage",
    "AveragePopularity",
    "GiniIndex",
    "ShannonEntropy",
    "TailPercentage",
]


@pytest.fixture
def split(tmp_path):
    """A split by files; users 25 to 29 have test items alone, and one pair occurs twice."""
    folder = tmp_path / "split"
    folder.mkdir()
    draw = np.random.default_rng(0)
    users, items = np.divmod(draw.choice(30 * 50, 400, replace=False), 50)
    part = np.where(users >= 25, 2, draw.choice(3, 400, p=[0.6, 0.2, 0.2]))
    for number, name in enumerate(PHASES):
        rows = {"user_id:token": users[part == number], "item_id:token": items[part == number]}
        table = pd.DataFrame(rows).sample(frac=1, random_state=1)
        table = pd.concat([table, table.iloc[:1]])
        table.to_csv(folder / f"split.{name}.inter", sep="\t", index=False)

    def make(model, **changes):
        settings = {
            "data_path": str(tmp_path),
            "checkpoint_dir": str(tmp_path / "saved"),
            "benchmark_filename": list(PHASES),
            "load_col": {"inter": ["user_id", "item_id"]},
            "val_interval": None,
            "eval_batch_size": 7,
            "topk": [1, 3, 10],
            "metric_decimal_place": 16,
            "use_gpu": False,
        }
        return Config(model, "split", config_dict=settings | changes)

    return make


def both(config):
    """Our loaders and RecBole's of validation and test, and the training dataset."""
    splits = create_dataset(config).build()
    samplers = [kind(list(PHASES), list(splits)) for kind in (PairSampler, Sampler)]
    return splits[0], [
        [
            loader(config, data, sampler.set_phase(phase))
            for loader, sampler in zip(
                (UserBatchLoader, FullSortEvalDataLoader), samplers, strict=True
            )
        ]
        for phase, data in zip(PHASES[1:], splits[1:], strict=True)
    ]


def cells_of(users, rows, items):
    return sorted(zip(users[rows].tolist(), items.tolist(), strict=True))


def everything(loader):
    """Users, masked cells and positive cells of all batches, by user id."""
    users, masked, positive = [], [], []
    for batch, history, rows, items in loader:
        users += batch["user_id"].tolist()
        masked += cells_of(batch["user_id"], *history)
        positive += cells_of(batch["user_id"], rows, items)
    return users, sorted(masked), sorted(positive)


def test_users_positives_and_masks_are_recboles(split):
    _, phases = both(split("BPR"))
    for ours, theirs in phases:
        assert everything(ours) == everything(theirs)
        assert ours.uid_list.tolist() == theirs.uid_list.tolist()


def test_batches_are_counted_in_users(split):
    _, (_, (ours, theirs)) = both(split("BPR"))
    sizes = [len(batch[0]) for batch in ours]
    assert set(sizes[:-1]) == {7}
    assert sum(sizes) == len(ours.uid_list) > 25
    assert {len(batch[0]) for batch in theirs} == {1}


def test_scores_of_a_batch_are_bounded(split, monkeypatch):
    config = split("BPR", eval_batch_size=1000)
    monkeypatch.setattr(full_sort_loader, "MAX_SCORES_ON_CPU", 300)
    _, (_, (ours, _)) = both(config)
    n_items = ours._dataset.item_num
    assert {len(batch[0]) for batch in list(ours)[:-1]} == {300 // n_items}
    monkeypatch.setattr(full_sort_loader, "MAX_SCORES_ON_CPU", 1)
    assert {len(batch[0]) for batch in both(config)[1][1][0]} == {1}


def test_history_by_user_is_recboles(split):
    _, (_, (ours, theirs)) = both(split("BPR"))
    for user in theirs.uid_list.tolist():
        found = ours.uid2history_item[user].tolist()
        assert sorted(found) == sorted(theirs.uid2history_item[user].tolist())


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "NeuMF", "EASE", "ItemKNN", "MultiDAE"])
@pytest.mark.parametrize(
    "metrics", [TOP_K, TOP_K + NOT_ACCURACY, NOT_ACCURACY[:1], [*TOP_K, "GAUC"]]
)
def test_metrics_are_recboles_to_the_last_digit(split, model, metrics):
    config = split(model, metrics=metrics, valid_metric=f"{metrics[0]}@1")
    train, phases = both(config)
    init_seed(1, True)
    built = get_model(model)(config, train).eval()
    for ours, theirs in phases:
        expected = evaluated(config, built, theirs, train)
        assert evaluated(config, built, ours, train, TopKCollector(config)) == expected
        assert len(expected) > 0


def evaluated(config, model, loader, train, collector=None):
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector = collector or trainer.eval_collector
    trainer.eval_collector.data_collect(type("Loader", (), {"dataset": train}))
    return dict(trainer.evaluate(loader, load_best_model=False))


def test_a_batch_without_any_history(split):
    _, (_, (ours, _)) = both(split("BPR"))
    history_free = [
        place for place, user in enumerate(ours.uid_list) if not len(ours.uid2history_item[user])
    ]
    assert len(history_free) == 5
    _, (rows, items), positive_rows, positive_items = ours.collate_fn(history_free)
    assert len(rows) == len(items) == 0
    assert positive_rows.dtype == positive_items.dtype == torch.int64
    assert set(positive_rows.tolist()) == set(range(5))
