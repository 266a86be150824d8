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
