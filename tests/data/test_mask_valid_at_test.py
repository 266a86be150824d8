"""Test-time mask of training items alone, on a case worked by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset, prepare_data
from recbole_darec.keys import ConfigError

# Five items. Ann trained on a, validates on b and c, is tested on d; Bob trained on b, is tested on
# a and c; Cem has no test item.
PARTS = {
    "train": [("ann", "a"), ("bob", "b"), ("cem", "e")],
    "valid": [("ann", "b"), ("ann", "c"), ("bob", "d"), ("cem", "a")],
    "test": [("ann", "d"), ("bob", "a"), ("bob", "c")],
}


@pytest.fixture
def hand_worked(tmp_path):
    folder = tmp_path / "hand"
    folder.mkdir()
    for part, rows in PARTS.items():
        table = pd.DataFrame(rows, columns=["user_id:token", "item_id:token"])
        table.to_csv(folder / f"hand.{part}.inter", sep="\t", index=False)
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.savez(folder / "items.npz", ids=np.array(list("abcd")), embeddings=vectors)

    def prepared(model="Backbone", **keys):
        settings = {
            "data_path": str(tmp_path),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "item_embedding_file": str(folder / "items.npz"),
            "state": "ERROR",
            "topk": [5],
            "valid_metric": "MRR@5",
            **keys,
        }
        config = Config(model, "hand", config_dict=settings)
        return prepare_data(config, create_dataset(config))

    return prepared


def masked(loader):
    """Tokens of the masked items by user, from the cells that the evaluator is given."""
    dataset = loader._dataset
    found = {}
    for users, (rows, items), *_ in loader:
        names = dataset.id2token("user_id", users["user_id"].numpy())
        for row, name in enumerate(names):
            tokens = dataset.id2token("item_id", items[rows == row].numpy())
            found[str(name)] = set(map(str, tokens))
    return found


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        (True, {"ann": {"a", "b", "c"}, "bob": {"b", "d"}}),
        (False, {"ann": {"a"}, "bob": {"b"}}),
    ],
)
def test_items_left_out_of_the_test_ranking(hand_worked, switch, expected):
    loaders = hand_worked(mask_valid_at_test=switch)
    assert masked(loaders[2]) == expected
    assert masked(loaders[1]) == {"ann": {"a"}, "bob": {"b"}, "cem": {"e"}}


@pytest.mark.parametrize("switch", [True, False])
def test_sampled_candidates_follow_the_switch(hand_worked, switch):
    loader = hand_worked(
        mask_valid_at_test=switch,
        eval_args={"mode": "uni20", "split": {"RS": [0.8, 0.1, 0.1]}},
        metrics=["Recall"],
        valid_metric="Recall@5",
    )[2]
    dataset, drawn = loader._dataset, {"ann": set(), "bob": set()}
    for interaction, *_ in loader:
        names = dataset.id2token("user_id", interaction["user_id"].numpy())
        tokens = dataset.id2token("item_id", interaction["item_id"].numpy())
        for name, token in zip(names, tokens, strict=True):
            drawn[str(name)].add(str(token))
    tested = {"ann": {"d"}, "bob": {"a", "c"}}
    never = {"ann": {"a"}, "bob": {"b"}}
    if switch:
        never = {"ann": {"a", "b", "c"}, "bob": {"b", "d"}}
    for name, tokens in drawn.items():
        assert tokens - tested[name] == set("abcde") - never[name] - tested[name]


def test_training_negatives_do_not_follow_the_switch(hand_worked):
    used = [hand_worked(mask_valid_at_test=s)[0]._sampler.used_ids[1] for s in (True, False)]
    assert used[0] == used[1]


def test_saved_dataloaders_are_refused(hand_worked):
    with pytest.raises(ConfigError, match="'mask_valid_at_test' is False, but saved dataloaders"):
        hand_worked(mask_valid_at_test=False, save_dataloaders=True)


def test_a_split_by_files_carries_side_embeddings(hand_worked):
    train = hand_worked("DaRec")[0]._dataset
    items = train.side_embeddings("item_id")
    expected = {"a": [0.0, 1.0], "b": [2.0, 3.0], "c": [4.0, 5.0], "d": [6.0, 7.0], "e": [0.0, 0.0]}
    for item, vector in expected.items():
        row = train.token2id("item_id", item)
        assert items.table[row].tolist() == vector
        assert bool(items.present[row]) == (item != "e")
    users = train.side_embeddings("user_id")
    rows = [train.token2id("user_id", name) for name in ("ann", "bob", "cem")]
    # The mean of the items of training alone; that of Cem has no vector.
    assert torch.equal(users.table[rows], torch.tensor([[0.0, 1.0], [2.0, 3.0], [0.0, 0.0]]))
    assert users.present[rows].tolist() == [True, True, False]
