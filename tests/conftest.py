"""A small real dataset, cut from the ml-100k of RecBole's wheel, and runs on it."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in each test, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def ml_100k():
    """Folder of ml-100k inside RecBole's wheel."""
    spec = importlib.util.find_spec("recbole")
    return Path(spec.origin).parent / "dataset_example" / "ml-100k"


@pytest.fixture(scope="session")
def small_data(tmp_path_factory, ml_100k):
    """``data_path`` with dataset ``small``: 60 users and 90 items of ml-100k, with item texts."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "small"
    folder.mkdir()
    inter = pd.read_csv(ml_100k / "ml-100k.inter", sep="\t", dtype=str)
    items = inter["item_id:token"].value_counts().index[:90]
    inter = inter[inter["item_id:token"].isin(items)]
    users = inter["user_id:token"].value_counts().index[:60]
    inter = inter[inter["user_id:token"].isin(users)]
    inter.to_csv(folder / "small.inter", sep="\t", index=False)
    item = pd.read_csv(ml_100k / "ml-100k.item", sep="\t", dtype=str)
    item[item["item_id:token"].isin(items)].to_csv(folder / "small.item", sep="\t", index=False)
    return root


@pytest.fixture(scope="session")
def embedding_dir(tmp_path_factory):
    """One store of encoded texts for the whole session."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture
def settings(small_data, embedding_dir, tmp_path):
    """Parameters of a short run on the small dataset, everything below ``tmp_path``."""
    return {
        "data_path": str(small_data),
        "checkpoint_dir": str(tmp_path / "saved"),
        "embedding_dir": str(embedding_dir),
        "item_template": "{movie_title}[ ({release_year})][. Genres: {class}]",
        "embedding_size": 16,
        "n_sampled": 64,
        "n_centers": 4,
        # A warm-up would outlast these few steps.
        "alignment_warmup": 0,
        "epochs": 3,
        "show_progress": False,
        "state": "WARNING",
    }


@pytest.fixture
def run(settings):
    """Run a model on the small dataset; keyword arguments override the settings."""
    from recbole_darec.quick_start import run_recbole_darec

    def go(model="DaRec", saved=True, callback_fn=None, **overrides):
        return run_recbole_darec(
            model,
            "small",
            config_dict={**settings, **overrides},
            saved=saved,
            callback_fn=callback_fn,
        )

    return go
