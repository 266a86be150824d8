"""RecBole's general recommenders through our life of a run: the same numbers as by hand."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import torch

from recbole_darec import compat
from recbole_darec.keys import ConfigError
from recbole_darec.quick_start import run_recbole_darec

# One for each way through training and evaluation; the others are marked slow.
QUICK = {
    "BPR",  # pairs of items
    "DiffRec",  # rows of the interaction matrix
    "DMF",  # keeps an embedding between batches
    "ItemKNN",  # traditional, sparse matrices in its checkpoint
    "LightGCN",  # graph
    "NeuMF",  # scored pair by pair
    "NGCF",  # graph with dropout
    "RaCT",  # pre-training, without validation
    "SimpleX",  # many negatives a pair
}
MODELS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in compat.general_recommenders()
]
NEEDS = {"NCL": "faiss"}
KEYS = {
    "epochs": 1,
    "use_gpu": False,
    "show_progress": False,
    "num_clusters": 10,
    "pretrain_epochs": 1,
}


@pytest.fixture(scope="module")
def few_users(tmp_path_factory):
    """60 users of ml-100k and the 200 items that they rated most, as a dataset of its own."""
    spec = importlib.util.find_spec("recbole")
    source = Path(spec.origin).parent / "dataset_example" / "ml-100k" / "ml-100k.inter"
    table = pd.read_csv(source, sep="\t")
    user, item = "user_id:token", "item_id:token"
    table = table[table[user].isin(sorted(table[user].unique())[:60])]
    table = table[table[item].isin(table[item].value_counts().index[:200])]
    folder = tmp_path_factory.mktemp("data")
    (folder / "few").mkdir()
    table.to_csv(folder / "few" / "few.inter", sep="\t", index=False)
    return folder


def by_hand(model: str, keys: dict) -> tuple[dict | None, dict]:
    """Validation and test metrics of one epoch, by RecBole's classes alone."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    config = Config(model, "few", config_dict={**keys, "gpu_id": "", "eval_batch_size": 10**6})
    init_seed(config["seed"], True)
    train, valid, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    built = get_model(model)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    _, best = trainer.fit(train, valid, saved=False)
    return best and dict(best), dict(trainer.evaluate(test, load_best_model=False))


@pytest.mark.parametrize("model", MODELS)
def test_run_gives_recboles_numbers(few_users, tmp_path, monkeypatch, model):
    if model in NEEDS:
        pytest.importorskip(NEEDS[model])
    monkeypatch.setattr("sys.argv", ["pytest"])
    keys = {**KEYS, "data_path": str(few_users), "checkpoint_dir": str(tmp_path)}
    result = run_recbole_darec(model, "few", config_dict=keys)
    best, test = by_hand(model, keys)
    assert result["test_result"] == test
    assert result["best_valid_result"] == best
    assert 0 < test["recall@10"] <= 1
    checkpoint = Path(result["run_folder"]) / "model.pth"
    assert torch.load(checkpoint, weights_only=True)["config"]["model"] == model


@pytest.mark.skipif(importlib.util.find_spec("faiss") is not None, reason="faiss is installed")
def test_missing_package_is_named_before_the_run(few_users, tmp_path):
    keys = {**KEYS, "data_path": str(few_users), "checkpoint_dir": str(tmp_path)}
    with pytest.raises(ConfigError, match="model 'NCL' needs the package 'faiss-cpu'"):
        run_recbole_darec("NCL", "few", config_dict=keys)
    assert list(tmp_path.iterdir()) == []
