"""New items by text alone: where they land, how they are ranked, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_darec.inference.vectors import scored_vectors
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.recommend.new_items import NewItems, new_item_vectors
from recbole_darec.recommend.recommender import Recommender
from recbole_darec.standalone.alpharec import AlphaRec

TEXTS = {"new1": "Star Wars again (1999). Genres: Action Sci-Fi", "new2": "A quiet romance"}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def means_of_nearest(known, asked, present, items, count):
    """In plain loops: means of the nearest present rows' items, weighted by the cosine."""
    means = []
    for row in asked:
        cosines = {i: max(float(unit(known[i]) @ unit(row)), 1e-6) for i in present}
        best = sorted(cosines, key=lambda i: -cosines[i])[:count]
        total = sum(cosines[i] for i in best)
        means.append(sum(cosines[i] * items[i] for i in best) / total)
    return np.array(means)


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("DaRec", {}),
        ("DaRec", {"embedding_transform": "center"}),
        ("DaRec", {"score": "concat"}),
        ("RLMRecCon", {}),
        ("KAR", {}),
    ],
)
def test_a_text_of_a_known_item_lands_on_that_item(finished, model, overrides):
    """With one neighbour, the vector of a copy is the vector of the original."""
    run = load(finished(model, **overrides))
    raw = run.dataset.side_embeddings("item_id").table[5:9].numpy()
    new = NewItems(np.array(list("abcd")), np.array([""] * 4, dtype=object), raw)
    found = new_item_vectors(run, new, neighbors=1)
    np.testing.assert_allclose(found, scored_vectors(run.model)[1][5:9], atol=1e-5)


def test_a_model_of_text_alone_has_a_new_item_where_it_has_one_without_interactions(finished):
    run = load(finished("AlphaRec", eval_args={"split": {"RS": [0.02, 0.02, 0.96]}}))
    side = run.dataset.side_embeddings("item_id")
    degrees = run.model.graph.degrees()[run.model.n_users :]
    rows = torch.nonzero((degrees == 0) & side.present).flatten()
    assert len(rows) > 1
    ids = np.array([f"new{row}" for row in rows])
    new = NewItems(ids, np.array([""] * len(rows), dtype=object), side.table[rows].numpy())
    expected = scored_vectors(run.model)[1][rows]
    np.testing.assert_allclose(new_item_vectors(run, new), expected, atol=1e-6)
    table = Recommender(run).add_items(new).recommend(k=5, only_new=True).table
    assert set(table["item_id"]) <= set(ids)


@pytest.mark.parametrize("transform", ["none", "center", "whiten"])
@pytest.mark.parametrize("space", ["shared", "raw"])
def test_vectors_in_plain_loops(finished, space, transform):
    run = load(finished(embedding_transform=transform))
    new = NewItems.from_texts(run, TEXTS)
    side = run.dataset.side_embeddings("item_id")
    if space == "raw":
        mean = np.mean(side.table[side.present].tolist(), axis=0)
        known, asked = side.table.numpy() - mean, new.vectors - mean
    else:
        alignment = run.model.alignment
        with torch.no_grad():
            known = alignment.semantic_shared(alignment.items_side.table).numpy()
            query = torch.from_numpy(alignment.semantic_input(new.vectors)).float()
            asked = alignment.semantic_shared(query).numpy()
    items = scored_vectors(run.model)[1].double().numpy()
    expected = means_of_nearest(known, asked, np.flatnonzero(side.present.numpy()), items, 3)
    np.testing.assert_allclose(new_item_vectors(run, new, 3, space), expected, atol=1e-5)


def test_what_stands_beside_the_backbones_rows_is_the_texts_own(finished):
    """Copies of known items have their last columns, and the means of the nearest others'."""
    run = load(finished(score="concat"))
    side = run.dataset.side_embeddings("item_id")
    raw, mean = side.table.numpy(), np.mean(side.table[side.present].tolist(), axis=0)
    new = NewItems(np.array(list("abcd")), np.array([""] * 4, dtype=object), raw[5:9])
    items = scored_vectors(run.model)[1].double().numpy()
    collaborative = items.shape[1] // 2
    found = new_item_vectors(run, new, neighbors=7)
    np.testing.assert_allclose(
        found[:, collaborative:], items[5:9, collaborative:], rtol=0, atol=1e-6
    )
    present = np.flatnonzero(side.present.numpy())
    expected = means_of_nearest(raw - mean, raw[5:9] - mean, present, items, 7)
    np.testing.assert_allclose(
        found[:, :collaborative], expected[:, :collaborative], rtol=0, atol=1e-5
    )
    assert np.abs(found - expected).max() > 0.01


def test_the_shared_space_of_rlmrec_con_is_its_projection(finished, item_texts):
    """In plain loops, of a run in which every second item has a text."""
    run = load(finished("RLMRecCon", item_text_file=str(item_texts), item_template=None))
    new = NewItems.from_texts(run, TEXTS)
    alignment, side = run.model.alignment, run.dataset.side_embeddings("item_id")
    with torch.no_grad():
        known = alignment.projection(side.table).numpy()
        asked = alignment.projection(torch.from_numpy(new.vectors)).numpy()
    items = scored_vectors(run.model)[1].double().numpy()
    present = np.flatnonzero(side.present.numpy())
    assert len(present) == 45
    expected = means_of_nearest(known, asked, present, items, 40)
    np.testing.assert_allclose(new_item_vectors(run, new, 40, "shared"), expected, atol=1e-5)


@pytest.mark.parametrize("missing", ["mask", "mean"])
@pytest.mark.parametrize("offset", [0, 3, 100])
def test_items_without_text_are_no_neighbours(finished, small_data, tmp_path, missing, offset):
    """The mean that stands for a missing text is nothing, once the mean is subtracted."""
    ids = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)["item_id:token"]
    rows = np.random.default_rng(0).normal(size=(40, 6))
    rows = (rows - rows.mean(axis=0) + offset).astype(np.float32)
    place = tmp_path / f"{missing}.npz"
    np.savez(place, ids=ids[:40].to_numpy(dtype=str), embeddings=rows)
    run = load(finished(item_embedding_file=str(place), item_template=None, missing_text=missing))
    places = [run.item_ids.tolist().index(name) for name in ids[:40]]
    items = scored_vectors(run.model)[1].double().numpy()
    mean = rows.mean(axis=0)
    # A vector and its mirror image: whatever direction rounding has, it is near to one of them.
    asked = np.stack([rows[0] + 0.1, 2 * mean - rows[0]])
    new = NewItems(np.array(["n", "m"]), np.array(["", ""], dtype=object), asked)
    for vector, found in zip(asked, new_item_vectors(run, new, 30), strict=True):
        cosines = np.maximum(unit(rows - mean) @ unit(vector - mean), 1e-6)
        best = np.argsort(-(unit(rows - mean) @ unit(vector - mean)))[:30]
        expected = cosines[best] @ items[places][best] / cosines[best].sum()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_spaces_that_are_not_there(finished):
    run = load(finished("KAR"))
    new = NewItems.from_texts(run, TEXTS)
    with pytest.raises(ConfigError, match="KAR has no semantic shared space; use space='raw'"):
        new_item_vectors(run, new, space="shared")
    with pytest.raises(ValueError, match="space is 'x'; expected one of raw, shared"):
        new_item_vectors(run, new, space="x")
    np.testing.assert_array_equal(
        new_item_vectors(run, new), new_item_vectors(run, new, space="raw")
    )


def test_a_projection_to_the_texts_is_no_shared_space(finished):
    """RLMRec-Gen's maps collaborative rows to texts; here both have the width of the texts."""
    run = load(finished("RLMRecGen", embedding_size=384, epochs=0))
    new = NewItems.from_texts(run, TEXTS)
    with pytest.raises(ConfigError, match="RLMRecGen has no semantic shared space"):
        new_item_vectors(run, new, space="shared")
    np.testing.assert_array_equal(
        new_item_vectors(run, new), new_item_vectors(run, new, space="raw")
    )


def test_they_take_part_in_the_ranking(finished):
    recommender = Recommender(finished())
    before = recommender.recommend(k=200, exclude="none").table
    after = recommender.add_items(TEXTS).recommend(k=200, exclude="none").table
    assert len(after) == 60 * 92
    pairs = after.set_index(["user_id", "item_id"])["score"]
    known = before.set_index(["user_id", "item_id"])["score"]
    np.testing.assert_allclose(pairs[known.index], known, atol=1e-6)
    vectors = new_item_vectors(recommender.run, NewItems.from_texts(recommender.run, TEXTS))
    user = recommender.run.user_ids[7]
    users = recommender.vectors[0][7]
    assert pairs[(user, "new2")] == pytest.approx(float(users @ vectors[1]), abs=1e-6)
    titles = after.drop_duplicates("item_id").set_index("item_id")["title"]
    assert titles["new2"] == "A quiet romance"


def test_only_new_items_and_items_like_a_new_one(finished):
    recommender = Recommender(finished()).add_items(TEXTS)
    table = recommender.recommend(k=5, only_new=True).table
    assert set(table["item_id"]) == set(TEXTS)
    assert len(table) == 120
    similar = recommender.similar(["new1"], k=200).table
    assert len(similar) == 91
    assert "new1" not in set(similar["item_id"])


def test_texts_from_a_file(finished, tmp_path):
    run = load(finished())
    lines = [json.dumps({"item_id": i, "text": t}) for i, t in TEXTS.items()]
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    read, given = NewItems.from_file(run, tmp_path / "new.jsonl"), NewItems.from_texts(run, TEXTS)
    assert list(read.ids) == list(given.ids)
    np.testing.assert_array_equal(read.vectors, given.vectors)
    long = NewItems.from_texts(run, {"x": "word " * 40})
    assert len(long.titles[0]) == 60


def test_vectors_from_a_file_where_the_run_has_such(finished, small_data, tmp_path):
    ids = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)["item_id:token"]
    place = tmp_path / "vectors.npz"
    rows = np.random.default_rng(0).normal(size=(len(ids), 6)).astype(np.float32)
    np.savez(place, ids=ids.to_numpy(dtype=str), embeddings=rows)
    run = load(finished(item_embedding_file=str(place), item_template=None))
    np.savez(tmp_path / "new.npz", ids=np.array(["n1"]), embeddings=rows[:1])
    found = NewItems.from_file(run, tmp_path / "new.npz")
    np.testing.assert_array_equal(found.vectors, rows[:1])
    with pytest.raises(ConfigError, match="have precomputed vectors: give vectors"):
        NewItems.from_texts(run, TEXTS)
    np.savez(tmp_path / "zero.npz", ids=np.array(["n1", "n2"]), embeddings=rows[:2] * [[1], [0]])
    with pytest.raises(ConfigError, match="new items n2 have vectors of zeros"):
        NewItems.from_file(run, tmp_path / "zero.npz")
    np.savez(tmp_path / "thin.npz", ids=np.array(["n1"]), embeddings=rows[:1, :3])
    with pytest.raises(ConfigError, match="new items have 3 dimensions, the run's 6"):
        NewItems.from_file(run, tmp_path / "thin.npz")


def test_items_are_added_to_those_added_before(finished):
    recommender = Recommender(finished())
    both = Recommender(finished()).add_items(TEXTS).recommend(k=200).table
    for identity, text in TEXTS.items():
        recommender.add_items({identity: text})
    pd.testing.assert_frame_equal(recommender.recommend(k=200).table, both)
    with pytest.raises(ConfigError, match="items that were added already: new1"):
        recommender.add_items({"new1": "again"})


def test_a_model_without_a_vector_for_any_text_is_named(finished, monkeypatch):
    run = finished("AlphaRec", epochs=0)
    message = "model AlphaRec has no place for new items: use a run of DaRec"
    with monkeypatch.context() as patch:
        patch.setattr(AlphaRec, "represent", lambda self, vectors: None)
        with pytest.raises(ConfigError, match=message):
            Recommender(run).add_items(TEXTS)
    monkeypatch.delattr(AlphaRec, "represent")
    with pytest.raises(ConfigError, match=message):
        Recommender(run).add_items(TEXTS)


def test_mistakes(finished, tmp_path):
    for model in ("BPR", "Backbone"):
        with pytest.raises(ConfigError, match=f"model {model} has no place for new items"):
            Recommender(finished(model, epochs=0)).add_items(TEXTS)
    recommender = Recommender(finished())
    with pytest.raises(ConfigError, match="new items 50 are in the run's data already"):
        recommender.add_items({"50": "Star Wars"})
    with pytest.raises(ConfigError, match="new items 50 are in the run's data already"):
        recommender.add_items({50: "Star Wars"})
    with pytest.raises(ConfigError, match="there are no new items"):
        recommender.add_items({})
    with pytest.raises(ConfigError, match="new items mute, dumb have an empty text"):
        recommender.add_items({"mute": "", "told": "A film", "dumb": " "})
    with pytest.raises(ConfigError, match=r"nowhere.jsonl does not exist"):
        NewItems.from_file(recommender.run, tmp_path / "nowhere.jsonl")
