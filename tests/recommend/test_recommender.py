"""Recommendations equal RecBole's full-sort scores, with external ids and titles."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.utils.case_study import full_sort_scores as recbole_scores
from recbole.utils.case_study import full_sort_topk

from recbole_darec.config import Config
from recbole_darec.inference.titles import item_titles
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.recommend.external_ids import known_rows
from recbole_darec.recommend.recommender import Recommender

MODELS = [
    "DaRec",
    "RLMRecCon",
    "Backbone",
    "BPR",
    "LightGCN",
    "EASE",
    "ItemKNN",
    "NeuMF",
    "MultiVAE",
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loaded", [True, False])
def test_scores_are_recboles(finished, model, loaded):
    """From the folder and from a loaded run; also without ``full_sort_predict`` (NeuMF)."""
    run = load(finished(model))
    users = np.arange(1, len(run.user_ids))
    torch.manual_seed(0)
    theirs_scores, _ = full_sort_topk(users, run.model, run.loaders[2], k=7)
    torch.manual_seed(0)
    recommender = Recommender(run if loaded else finished(model))
    ours = recommender.recommend(k=7, exclude="train_valid").table
    assert len(ours) == 60 * 7
    np.testing.assert_allclose(ours["score"], theirs_scores.flatten(), rtol=0, atol=1e-6)
    everything = recbole_scores(users, run.model, run.loaders[2])
    rows = {i: row for row, i in enumerate(run.user_ids)}
    columns = {i: row for row, i in enumerate(run.item_ids)}
    picked = everything[
        [rows[u] - 1 for u in ours["user_id"]], [columns[i] for i in ours["item_id"]]
    ]
    np.testing.assert_allclose(ours["score"], picked, rtol=0, atol=1e-6)


def test_the_terminal_shows_each_users_own_rows(recommender):
    result = recommender.recommend(k=3)
    paragraphs = result.text().split("\n\n")
    assert len(paragraphs) == 60
    for paragraph, (user, rows) in zip(
        paragraphs, result.table.groupby("user_id", sort=False), strict=True
    ):
        first, head, *lines = paragraph.split("\n")
        assert first == f"user {user}"
        assert head.split() == ["rank", "item_id", "title", "score"]
        shown = [(line.split()[1], line.split()[-1]) for line in lines]
        assert shown == [
            (item, f"{score:.4f}")
            for item, score in zip(rows["item_id"], rows["score"], strict=True)
        ]


@pytest.fixture
def recommender(finished):
    return Recommender(finished())


def test_excluded_items_are_the_users_own(recommender, small_data):
    raw = pd.read_csv(small_data / "small" / "small.inter", sep="\t", dtype=str)
    pairs = set(zip(raw["user_id:token"], raw["item_id:token"], strict=True))
    table = recommender.recommend(k=90).table
    got = set(zip(table["user_id"], table["item_id"], strict=True))
    assert not got & pairs
    assert len(got) + len(pairs) == 60 * 90


@pytest.mark.parametrize("model", ["Backbone", "EASE"])
def test_what_val_interval_dropped_is_the_users_own_too(run, small_data, model):
    """From the saved scorer and, for a model without vectors, from the run's data."""
    columns = {"inter": ["user_id", "item_id", "rating"]}
    done = run(model, load_col=columns, val_interval={"rating": "[4,inf)"})
    recommender = Recommender(done["run_folder"])
    raw = pd.read_csv(small_data / "small" / "small.inter", sep="\t", dtype=str)
    known = raw["user_id:token"].isin(recommender.user_rows)
    raw = raw[known & raw["item_id:token"].isin(recommender.item_rows)]
    size = len(recommender.user_rows) * len(recommender.item_rows)
    for exclude, left_out in (("all", raw), ("train_valid", None), ("none", raw[:0])):
        table = recommender.recommend(k=90, exclude=exclude).table
        got = set(zip(table["user_id"], table["item_id"], strict=True))
        low = raw[raw["rating:float"].astype(float) < 4]
        pairs = set(zip(low["user_id:token"], low["item_id:token"], strict=True))
        assert len(pairs) > 100
        if left_out is None:
            assert pairs <= got
            continue
        own = set(zip(left_out["user_id:token"], left_out["item_id:token"], strict=True))
        assert not got & own
        assert len(got) + len(own) == size


def test_train_valid_leaves_the_test_items_in(recommender):
    table = recommender.recommend(k=90, exclude="train_valid").table
    test = recommender.run.loaders[2]._dataset.inter_feat
    run = recommender.run
    pairs = {
        (run.user_ids[u], run.item_ids[i])
        for u, i in zip(test["user_id"].tolist(), test["item_id"].tolist(), strict=True)
    }
    assert pairs <= set(zip(table["user_id"], table["item_id"], strict=True))


def test_without_exclusion_every_item_is_ranked(recommender):
    table = recommender.recommend(k=1000, exclude="none").table
    for _, rows in table.groupby("user_id"):
        assert list(rows["rank"]) == list(range(1, 91))
        assert rows["score"].is_monotonic_decreasing
        assert set(rows["item_id"]) == set(recommender.run.item_ids[1:])


def test_order_of_users_is_that_of_the_request(recommender):
    asked = list(recommender.user_rows)[5:0:-1]
    table = recommender.recommend(asked, k=2).table
    assert list(table["user_id"].unique()) == asked
    whole = recommender.recommend(k=2).table
    pd.testing.assert_frame_equal(
        table[table["user_id"] == asked[0]].reset_index(drop=True),
        whole[whole["user_id"] == asked[0]].reset_index(drop=True),
    )


def test_titles_are_those_of_the_item_file(recommender, small_data):
    item = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)
    titles = dict(zip(item["item_id:token"], item["movie_title:token_seq"], strict=True))
    table = recommender.recommend(k=5).table
    assert [titles[i] for i in table["item_id"]] == list(table["title"])


def test_titles_from_a_template_and_from_a_wrong_field(finished):
    config = load(finished()).config
    assert item_titles(config, "{movie_title} ({release_year})")["50"] == "Star Wars (1977)"
    assert item_titles(config, "release_year")["50"] == "1977"
    with pytest.raises(ConfigError, match="item field 'titel' is not in .*; correct 'title'"):
        item_titles(config, "titel")


def test_titles_without_a_file_of_items_are_named(settings, small_data, tmp_path):
    (tmp_path / "small").mkdir()
    shutil.copy(small_data / "small" / "small.inter", tmp_path / "small")
    config = Config("BPR", "small", config_dict=settings | {"data_path": str(tmp_path)})
    assert item_titles(config) == {}
    message = "a title was asked for .'name'., but titles are in .*small.item, which does not exist"
    with pytest.raises(ConfigError, match=message):
        item_titles(config, "name")


def test_unknown_users_are_named_and_the_rest_is_served(recommender):
    known = next(iter(recommender.user_rows))
    with pytest.raises(ConfigError, match=r"unknown users: nobody, nix \(2 of 3\).*skip_unknown"):
        recommender.recommend(["nobody", known, "nix"])
    result = recommender.recommend(["nobody", known, "nix"], k=3, skip_unknown=True)
    assert result.skipped == ("nobody", "nix")
    assert list(result.table["user_id"]) == [known] * 3
    with pytest.raises(ConfigError, match="none is left to serve"):
        recommender.recommend(["nobody"], skip_unknown=True)
    with pytest.raises(ConfigError, match=f"unknown users: {known},nix .*; a comma does not"):
        recommender.recommend([f"{known},nix"])


def test_many_unknown_ids_are_counted_and_padding_is_no_id(recommender):
    with pytest.raises(ConfigError, match=r"u9 and 5 more \(15 of 15\)"):
        recommender.recommend([f"u{n}" for n in range(15)])
    with pytest.raises(ConfigError, match=r"unknown users: \[PAD\]"):
        recommender.recommend(["[PAD]"])


def test_one_id_is_no_list_of_letters(recommender):
    user = next(u for u in recommender.user_rows if len(u) > 1)
    assert set(recommender.recommend(user, k=2).table["user_id"]) == {user}
    assert set(recommender.similar("100", k=2).table["of_item_id"]) == {"100"}


def test_no_ids_are_an_empty_table(recommender):
    for result, column in (
        (recommender.recommend([]), "user_id"),
        (recommender.similar([]), "of_item_id"),
    ):
        assert list(result.table) == [column, "rank", "item_id", "title", "score"]
        assert len(result) == 0
        assert result.text() == ""


def test_known_rows_keeps_order_and_names_each_once():
    assert known_rows(["b", "a", "b"], {"a": 1, "b": 2}, "items") == {"b": 2, "a": 1}


@pytest.mark.parametrize(
    ("k", "exclude", "message"), [(0, "all", "k must"), (1, "x", "exclude is")]
)
def test_inadmissible_requests(recommender, k, exclude, message):
    with pytest.raises(ValueError, match=message):
        recommender.recommend(k=k, exclude=exclude)


@pytest.mark.parametrize("model", ["DaRec", "BPR", "LightGCN"])
def test_similar_items_are_nearest_by_cosine(finished, model):
    recommender = Recommender(finished(model))
    table = recommender.similar(["50", "100"], k=4).table
    items = recommender.vectors[1].astype(float)
    for of, rows in table.groupby("of_item_id"):
        query = recommender.item_rows[of]
        cosines = {
            recommender.run.item_ids[i]: items[i] @ items[query]
            / (np.linalg.norm(items[i]) * np.linalg.norm(items[query]))
            for i in range(1, len(items)) if i != query
        }  # fmt: skip
        expected = sorted(cosines, key=lambda i: -cosines[i])[:4]
        assert list(rows["item_id"]) == expected
        np.testing.assert_allclose(rows["score"], [cosines[i] for i in expected], atol=1e-5)


def test_similar_names_unknown_items_and_models_without_vectors(recommender, finished):
    with pytest.raises(ConfigError, match="unknown items: zzz"):
        recommender.similar(["zzz"])
    assert recommender.similar(["zzz", "50"], 2, skip_unknown=True).skipped == ("zzz",)
    with pytest.raises(ConfigError, match="EASE does not score by inner products"):
        Recommender(finished("EASE")).similar(["50"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_files_hold_the_table(recommender, tmp_path, kind):
    result = recommender.recommend(k=3)
    path = result.write(tmp_path / "deep" / f"top.{kind}")
    if kind == "csv":
        read = pd.read_csv(path, dtype={"user_id": str, "item_id": str})
    elif kind == "jsonl":
        read = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    else:
        read = pd.read_parquet(path)
    assert list(read.columns) == ["user_id", "rank", "item_id", "title", "score"]
    assert list(read["item_id"]) == list(result.table["item_id"])
    np.testing.assert_allclose(read["score"], result.table["score"], atol=1e-7)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_other_endings_and_unwritable_places_are_refused(recommender, tmp_path):
    result = recommender.recommend(k=1)
    with pytest.raises(ConfigError, match=r"must end in .csv, .jsonl, .parquet"):
        result.write(tmp_path / "top.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        result.write(tmp_path / "file" / "top.csv")


def test_repr_shows_counts_and_first_rows(recommender):
    result = recommender.recommend(k=2)
    assert repr(result).startswith("<120 recommendations for 60 users>\nuser_id")
    assert repr(recommender).startswith("<Recommender of /")
    assert repr(recommender).endswith(": 60 users, 90 items>")
    assert repr(Recommender(recommender.run)).startswith("<Recommender of <Run DaRec")
    assert len(result) == 120
    assert result.text().startswith(f"user {recommender.run.user_ids[1]}\n")
