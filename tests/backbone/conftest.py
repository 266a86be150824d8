"""A small real dataset (RecBole's ml-100k), a tiny graph, and defaults of the backbones."""

from pathlib import Path

import numpy as np
import pytest
import recbole
import torch
import yaml

from recbole_darec import compat
from recbole_darec.graph import BipartiteGraph
from recbole_darec.paths import properties_dir

FIELDS = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "NEG_PREFIX": "neg_"}


@pytest.fixture(scope="session")
def recbole_setting():
    """``setting(model, **keys) -> (config, dataset)`` of RecBole itself on ml-100k."""
    compat.install()
    from recbole.config import Config
    from recbole.data import create_dataset

    datasets = {}

    def setting(model, **keys):
        config = Config(
            model=model,
            dataset="ml-100k",
            config_dict={
                "data_path": str(Path(recbole.__file__).parent / "dataset_example"),
                "load_col": {"inter": ["user_id", "item_id"]},
                "use_gpu": False,
                "metrics": ["Recall"],
                "valid_metric": "Recall@10",
                "neg_sampling": None,
                **keys,
            },
        )
        if "ml-100k" not in datasets:
            datasets["ml-100k"] = create_dataset(config).build()[0]
        return config, datasets["ml-100k"]

    return setting


@pytest.fixture(scope="session")
def real_graph(recbole_setting):
    _, dataset = recbole_setting("BPR")
    return BipartiteGraph(
        dataset.inter_feat["user_id"].numpy(),
        dataset.inter_feat["item_id"].numpy(),
        dataset.user_num,
        dataset.item_num,
    )


@pytest.fixture
def real_batch(real_graph):
    draw = torch.Generator().manual_seed(0)
    users, items = real_graph.edges()
    chosen = torch.randint(real_graph.n_edges, (512,), generator=draw)
    negatives = torch.randint(1, real_graph.n_items, (512,), generator=draw)
    return {"user_id": users[chosen], "item_id": items[chosen], "neg_item_id": negatives}


@pytest.fixture
def tiny_graph():
    """Nine users and seven items; user 0 and item 0 are the padding."""
    rng = np.random.default_rng(4)
    return BipartiteGraph(rng.integers(1, 9, 30), rng.integers(1, 7, 30), 9, 7)


@pytest.fixture
def tiny_batch():
    return {
        "user_id": torch.tensor([1, 2, 3, 3, 8, 5]),
        "item_id": torch.tensor([2, 2, 1, 6, 4, 5]),
        "neg_item_id": torch.tensor([3, 1, 4, 4, 2, 6]),
    }


@pytest.fixture
def defaults():
    """``defaults(name, **keys)``: the backbone's yaml with other values in places."""

    def read(name, **keys):
        text = (properties_dir() / "backbone" / f"{name}.yaml").read_text("utf-8")
        return {**FIELDS, **yaml.safe_load(text), **keys}

    return read
