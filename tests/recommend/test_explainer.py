"""Reasons are the nearest items of the user's own history, in the right spaces."""

import numpy as np
import pandas as pd
import pytest

from recbole_darec.analysis.preference import nearest_items, preference_centers
from recbole_darec.analysis.study import analyze
from recbole_darec.keys import ConfigError
from recbole_darec.recommend.explainer import Explainer
from recbole_darec.recommend.export import export_vectors
from recbole_darec.recommend.recommender import Recommender


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def test_what_has_no_reasons_is_named(finished):
    recommender = Recommender(finished())
    explainer = Explainer(recommender)
    similar = recommender.similar(recommender.item_ids[3], k=2)
    with pytest.raises(ConfigError, match="only recommendations to users have reasons, not simil"):
        explainer.explain(similar)
    added = recommender.add_items({"new": "A film"}).recommend(k=200)
    with pytest.raises(ConfigError, match=r"of items that were in training, not of new ones \(new"):
        explainer.explain(added)


def test_nothing_to_explain_is_explained(finished):
    recommender = Recommender(finished())
    explained = Explainer(recommender).explain(recommender.recommend([]))
    assert len(explained) == 0
    assert {"near_collaborative", "near_semantic", "center"} <= set(explained.table.columns)


def test_what_says_where_things_lie_is_checked(finished, tmp_path):
    with pytest.raises(ConfigError, match="format cannot be changed. Only these can: data_path"):
        export_vectors(finished(), tmp_path, format="parquet")
    run = Recommender(finished()).run
    with pytest.raises(ConfigError, match="data_path holds for a run that is loaded from its fold"):
        Recommender(run, data_path="x")
    with pytest.raises(ConfigError, match="sed cannot be changed"):
        analyze(run, sed=1)


@pytest.mark.parametrize(
    ("model", "spaces"),
    [
        ("DaRec", {"collaborative": "C shared", "semantic": "L shared", "text": None}),
        ("RLMRecCon", {"collaborative": "C raw", "semantic": "L raw"}),
        ("BPR", {"collaborative": "C raw"}),
    ],
)
def test_neighbours_in_the_history_are_the_nearest(finished, model, spaces):
    recommender = Recommender(finished(model))
    explainer = Explainer(recommender, neighbors=2)
    table = explainer.explain(recommender.recommend(k=3)).table
    assert [c for c in table.columns if c.startswith("near_")] == [f"near_{s}" for s in spaces]
    run = recommender.run
    if "text" in spaces:
        texts = run.dataset.side_embeddings("item_id")
        centred = texts.table.numpy() - texts.table[texts.present].mean(0).numpy()
    history = {}
    for loader in run.loaders[:2]:
        feat = loader._dataset.inter_feat
        for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
            history.setdefault(user, set()).add(item)
    for row in table.sample(20, random_state=0).to_dict(orient="records"):
        item, seen = (
            recommender.item_rows[row["item_id"]],
            history[recommender.user_rows[row["user_id"]]],
        )
        for side, name in spaces.items():
            rows = centred if side == "text" else explainer.blocks.items[name]
            cosines = {i: cosine(rows[i], rows[item]) for i in seen}
            best = sorted(seen, key=lambda i: -cosines[i])[:2]
            expected = "; ".join(
                f"{run.item_ids[i]} {recommender.titles[i]} ({cosines[i]:.2f})" for i in best
            )
            assert row[f"near_{side}"] == expected


def test_items_without_text_are_near_to_none(finished, item_texts):
    """Their rows on the semantic side are all the same, which would be a cosine of 1."""
    recommender = Recommender(finished(item_text_file=str(item_texts), item_template=None))
    table = Explainer(recommender, neighbors=3).explain(recommender.recommend(k=5)).table
    known = set(pd.read_json(item_texts, lines=True, dtype=str)["item_id"])
    silent = ~table["item_id"].isin(known)
    assert set(silent) == {True, False}
    assert (table["near_semantic"] == "").tolist() == silent.tolist()
    assert (table["near_text"] == "").tolist() == silent.tolist()
    for column in ("near_semantic", "near_text"):
        named = {n.split()[0] for text in table[column][~silent] for n in text.split("; ")}
        assert named <= known
    assert (table["near_collaborative"] != "").all()


def test_history_is_that_of_training_and_validation(finished):
    recommender = Recommender(finished())
    explainer = Explainer(recommender)
    user = recommender.run.user_ids[1]
    history = explainer.history_of(user)
    offered = recommender.recommend([user], 90, exclude="train_valid").table
    assert len(history) + len(offered) == 90
    assert not {h.split()[0] for h in history} & set(offered["item_id"])


def test_user_and_item_meet_at_the_centre_that_is_near_to_both(finished):
    recommender = Recommender(finished())
    explainer = Explainer(recommender)
    table = explainer.explain(recommender.recommend(k=2)).table
    blocks, run = explainer.blocks, recommender.run
    centers = preference_centers(blocks, 4, "hungarian").collaborative
    for row in table.sample(20, random_state=1).to_dict(orient="records"):
        u = blocks.users["C shared"][recommender.user_rows[row["user_id"]]]
        i = blocks.items["C shared"][recommender.item_rows[row["item_id"]]]
        meeting = max(range(4), key=lambda c: min(cosine(u, centers[c]), cosine(i, centers[c])))
        nearest = sorted(
            blocks.item_rows, key=lambda r: -cosine(blocks.items["C shared"][r], centers[meeting])
        )
        names = [f"{run.item_ids[r]} {recommender.titles[r]}" for r in nearest[:3]]
        assert row["center"] == f"{meeting + 1}: {' / '.join(names)}"


def test_no_centre_without_shared_parts(finished):
    recommender = Recommender(finished("BPR"))
    explainer = Explainer(recommender)
    assert "center" not in explainer.explain(recommender.recommend(k=1)).table
    with pytest.raises(ValueError, match="need the shared parts of DaRec"):
        preference_centers(explainer.blocks, 3)


def test_nearest_items_by_hand():
    items = np.array([[9.0, 9.0], [1, 0], [0, 2], [3, 1]])
    rows = np.array([1, 2, 3])
    assert nearest_items(np.array([[2.0, 0.0], [0, 1]]), items, rows, 2).tolist() == [
        [1, 3],
        [2, 3],
    ]
