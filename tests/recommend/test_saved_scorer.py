"""What a run saves for serving: nothing else is needed, and nothing in it is trusted."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recbole.utils.case_study import full_sort_scores

from recbole_darec.checksums import seal
from recbole_darec.inference.saved_scorer import FILE_NAME, SavedScorer
from recbole_darec.inference.vectors import scored_vectors
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.recommend.recommender import Recommender

SCRIPT = """
import json, sys
from recbole_darec.recommend import command, export_command
from recbole_darec.cli import main
run, out = sys.argv[1:]
main(["recommend", run, "--all", "-k", "200", "--exclude", "train_valid", "-o", out + "/top.csv"])
main(["recommend", run, "--similar-to", "50", "-k", "3", "-o", out + "/similar.csv"])
main(["export", run, "-o", out])
heavy = ("torch", "recbole", "ray", "transformers", "sklearn", "matplotlib")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


@pytest.mark.parametrize("model", ["DaRec", "LightGCN"])
def test_a_fresh_process_needs_nothing_but_the_folder(
    finished, settings, small_data, embedding_dir, tmp_path, model
):
    """Dataset and store are deleted; the scores are still those of RecBole's evaluation."""
    finished()  # the session's store has the texts now
    data, store = tmp_path / "data", tmp_path / "store"
    shutil.copytree(small_data, data)
    shutil.copytree(embedding_dir, store)
    places = {"data_path": str(data), "embedding_dir": str(store), "epochs": 1}
    folder = run_recbole_darec(model, "small", config_dict=settings | places)["run_folder"]
    run = load(folder)
    scores = full_sort_scores(np.arange(1, 61), run.model, run.loaders[2]).numpy()
    shutil.rmtree(data)
    shutil.rmtree(store)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, str(tmp_path)],
        cwd=tmp_path, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    _check_ranking(tmp_path / "top.csv", run, scores)
    users, items = np.load(tmp_path / "users.npy"), np.load(tmp_path / "items.npy")
    masked = np.isneginf(scores[:, 1:])
    np.testing.assert_allclose(
        (users @ items.T)[~masked], scores[:, 1:][~masked], rtol=0, atol=1e-6
    )
    assert len((tmp_path / "similar.csv").read_text().splitlines()) == 4


def _check_ranking(file, run, scores):
    lines = [line.split(",") for line in file.read_text().splitlines()[1:]]
    users = {identity: row for row, identity in enumerate(run.user_ids)}
    items = {identity: row for row, identity in enumerate(run.item_ids)}
    at = [users[line[0]] - 1 for line in lines], [items[line[2]] for line in lines]
    ours = np.full_like(scores, -np.inf)
    ours[at] = [float(line[-1]) for line in lines]
    np.testing.assert_allclose(ours, scores, rtol=0, atol=1e-6)


def test_history_of_each_part_is_that_of_the_data(finished):
    run, saved = load(finished()), SavedScorer.load(Path(finished()))
    *parts, dropped = saved.history
    assert not dropped.nnz
    for loader, matrix in zip(run.loaders, parts, strict=True):
        feat = loader._dataset.inter_feat
        pairs = set(zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True))
        assert set(zip(*(rows.tolist() for rows in matrix.nonzero()), strict=True)) == pairs
    assert list(saved.user_ids) == list(run.user_ids)
    assert list(saved.item_ids) == list(run.item_ids)
    assert list(saved.titles) == list(Recommender(run).titles)


@pytest.mark.parametrize("tested", [True, False])
def test_vectors_are_those_of_the_best_epoch(settings, tested):
    keys = settings | {"epochs": 8, "learning_rate": 0.3}
    folder = run_recbole_darec("BPR", "small", config_dict=keys, tested=tested)["run_folder"]
    run = load(folder)
    assert run.metrics["best_epoch"] < 7
    for ours, theirs in zip(
        SavedScorer.load(Path(folder)).vectors, scored_vectors(run.model), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_a_file_without_dropped_pairs_is_read_as_before(finished, tmp_path):
    with np.load(Path(finished()) / FILE_NAME) as arrays:
        former = {name: array for name, array in arrays.items() if "dropped" not in name}
    np.savez(tmp_path / FILE_NAME, **former)
    earlier, now = (SavedScorer.load(Path(folder)) for folder in (tmp_path, finished()))
    assert len(earlier.history) == 3
    for matrix, same in zip(earlier.history, now.history[:3], strict=True):
        assert (matrix != same).nnz == 0


def test_rows_beside_the_backbones_are_saved_too(finished):
    folder = finished("DaRec", score="concat")
    run, (users, items) = load(folder), SavedScorer.load(Path(folder)).vectors
    assert users.shape[1] == items.shape[1] == 2 * 16
    scores = full_sort_scores(np.arange(1, 61), run.model, run.loaders[2]).numpy()
    free = np.isfinite(scores)
    assert free.sum() > 1000
    np.testing.assert_allclose((users[1:] @ items.T)[free], scores[free], rtol=0, atol=1e-6)


def test_only_a_kept_run_with_vectors_has_the_file(finished, run):
    assert not Path(finished("EASE"), FILE_NAME).exists()
    assert not Path(run("BPR", saved=False, epochs=1)["run_folder"], FILE_NAME).exists()
    log = Path(run("EASE", state="INFO")["run_folder"], "run.log").read_text()
    assert f"No {FILE_NAME}, recommending will load model and data: model EASE does not" in log


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("users", lambda old: old[:, :3], "vectors of different width"),
        ("users", lambda old: old[:, 0], "not rows of float32"),
        ("items", lambda old: old.astype(np.float64), "not rows of float32"),
        ("items", lambda old: old[:-1], "ids or titles are not 90"),
        ("titles", lambda old: np.frombuffer(b'["a"]', np.uint8), "ids or titles are not 91"),
        ("titles", lambda old: old[:-1], "is not what a run of this package writes"),
        ("train_indices", lambda old: old + 90, "column index|indices"),
        ("test_indptr", lambda old: old[:-1], "index pointer"),
        ("item_ids", None, "item_ids is not a file in the archive"),
    ],
)
def test_altered_contents_are_refused(copied, name, change, message):
    file = copied("BPR") / FILE_NAME
    arrays = dict(np.load(file))
    old = arrays.pop(name)
    if change:
        arrays[name] = change(old)
    np.savez(file, **arrays)
    with pytest.raises(ConfigError, match=message) as caught:
        SavedScorer.load(file.parent)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_in_it_is_not_read(copied, tmp_path, whole):
    file, mark = copied("BPR") / FILE_NAME, tmp_path / "exploded"
    if whole:
        file.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        arrays = dict(np.load(file))
        np.savez(file, **{**arrays, "users": np.array([Bomb(mark)], dtype=object)})
        mark.unlink(missing_ok=True)
    seal(file.parent)
    with pytest.raises(ConfigError, match=f"{FILE_NAME} is not what a run of this package writes"):
        Recommender(file.parent)
    assert not mark.exists()
