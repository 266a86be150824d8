"""The package from a notebook."""

import subprocess
import sys
from pathlib import Path

import pytest
from finished_runs import finished  # noqa: F401

from recbole_darec import api
from recbole_darec.recommend.recommender import Recommender

EXAMPLE = Path(__file__).parents[1] / "docs" / "example.py"


def test_train_gives_a_run_to_use(settings):
    run = api.train("BPR", "small", **{**settings, "epochs": 1})
    assert repr(run).startswith("<Run BPR, small: 60 users, 90 items; test recall@10 ")
    top = api.recommend(run, list(run.user_ids[1:3]), k=4)
    assert repr(top).startswith("<8 recommendations for 2 users>")


def test_recommend_takes_a_folder_and_options(finished):  # noqa: F811
    top = api.recommend(finished("BPR"), k=3, exclude="none")
    expected = Recommender(finished("BPR")).recommend(k=3, exclude="none")
    assert top.table.equals(expected.table)


@pytest.mark.slow
def test_the_example_of_the_docs_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--epochs", "1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert "vectors/items.npy" in done.stdout


def test_explain_export_and_report_from_python(finished, tmp_path):  # noqa: F811
    run = api.load(finished())
    recommender = api.Recommender(run)
    top = recommender.recommend(list(run.user_ids[1:3]), k=2)
    reasons = api.Explainer(recommender).explain(top).table
    assert reasons["item_id"].tolist() == top.table["item_id"].tolist()
    assert reasons["near_semantic"].str.contains(r"\(0\.\d\d\)|\(1\.00\)").all()
    assert {path.name for path in api.export_vectors(run, tmp_path)} >= {"items.npy", "users.npy"}
    assert api.write_report(tmp_path, api.analyze(run)).html.is_file()
    new = api.NewItems.from_texts(run, {"new": "Space Pirates"})
    assert recommender.add_items(new).similar(["new"], k=1).table["of_item_id"].tolist() == ["new"]
