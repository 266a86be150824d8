"""The life of a run: results, run folder, reproducibility, resume, honest baselines."""

import errno
import json
import logging
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from recbole.model.general_recommender.lightgcn import LightGCN
from recbole.utils import init_seed

from recbole_darec import checkpoint, quick_start
from recbole_darec.api import analyze
from recbole_darec.checksums import seal, verify
from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset, prepare_data
from recbole_darec.inference.saved_scorer import SavedScorer
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.quick_start import build_model, run_recbole_darec
from recbole_darec.run_folder import RunFolder
from recbole_darec.trainer import RunTrainer
from recbole_darec.user_values import UserValues

RATED = ["user_id", "item_id", "rating"]
NO_WEIGHTS = {"or_weight": 0.0, "uni_weight": 0.0, "glo_weight": 0.0, "loc_weight": 0.0}


def metrics_of(result):
    return RunFolder.open(result["run_folder"]).read_metrics()


def weights_of(result, prefix=""):
    state = checkpoint.load(RunFolder.open(result["run_folder"]).best)["state_dict"]
    return {k: v for k, v in state.items() if k.startswith(prefix)}


def assert_same_numbers(first, second):
    for key in ("test_result", "best_valid_result", "best_epoch", "train_losses"):
        assert metrics_of(first)[key] == metrics_of(second)[key]


@pytest.mark.parametrize("model", ["DaRec", "Backbone", "BPR"])
def test_a_run_leaves_config_metrics_checkpoint_and_log(run, model):
    result = run(model, epochs=2)
    folder = RunFolder.open(result["run_folder"])
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["test_result"] == result["test_result"]
    assert set(metrics["test_result"]) >= {"recall@10", "mrr@10", "ndcg@10"}
    assert metrics["best_valid_score"] == metrics["best_valid_result"]["mrr@10"]
    assert len(metrics["epoch_seconds"]) == len(metrics["eval_seconds"]) == 2
    assert metrics["best_epoch"] in (0, 1)
    assert metrics["seed"] == 2020
    assert metrics["versions"]["recbole"].startswith("1.2")
    assert len(metrics["dataset_fingerprint"]) == 64
    fingerprints = metrics["embedding_fingerprints"]
    assert set(fingerprints) == ({"user", "item"} if model == "DaRec" else set())
    assert yaml.safe_load(folder.config.read_text())["model"] == model
    assert checkpoint.load(folder.best)["config"]["model"] == model
    assert folder.log.is_file()
    assert not folder.last.exists()
    assert list(folder.path.rglob("events.out.tfevents*"))


def test_result_has_the_keys_of_recbole(run):
    result = run("BPR", epochs=1)
    assert set(result) == {
        "best_valid_score", "valid_score_bigger", "best_valid_result", "test_result", "run_folder",
    }  # fmt: skip


def test_nothing_is_left_in_the_working_directory(run, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    run("BPR", epochs=1)
    assert os.listdir(here) == []


def test_the_test_score_is_that_of_the_best_epoch_of_validation(run, settings):
    result = run("Backbone", epochs=6, learning_rate=0.1)
    metrics = metrics_of(result)
    scores = []
    run("Backbone", epochs=6, learning_rate=0.1, callback_fn=lambda _, score: scores.append(score))
    best = max(range(len(scores)), key=lambda epoch: (scores[epoch], epoch))
    assert metrics["best_epoch"] == best
    again = run("Backbone", epochs=best + 1, stopping_step=100, learning_rate=0.1)
    assert metrics_of(again)["test_result"] == metrics["test_result"]


def test_same_seed_same_numbers_and_other_seed_other_numbers(run):
    first, second, other = run(), run(), run(seed=1)
    assert_same_numbers(first, second)
    for name, value in weights_of(first).items():
        assert torch.equal(value, weights_of(second)[name]), name
    assert metrics_of(first)["train_losses"] != metrics_of(other)["train_losses"]


@pytest.mark.parametrize("off", [{"alignment_weight": 0.0}, NO_WEIGHTS])
def test_weight_zero_is_the_bare_backbone_to_the_bit(run, off):
    bare, zero = run("Backbone"), run("DaRec", **off)
    assert metrics_of(bare)["test_result"] == metrics_of(zero)["test_result"]
    assert metrics_of(bare)["best_valid_result"] == metrics_of(zero)["best_valid_result"]
    assert metrics_of(bare)["train_losses"] == metrics_of(zero)["train_losses"]
    for name, value in weights_of(bare, "backbone.").items():
        assert torch.equal(value, weights_of(zero)[name]), name


def test_alignment_moves_the_backbone(run):
    bare, aligned = run("Backbone"), run("DaRec", alignment_weight=1.0)
    name = "backbone.embedding"
    assert not torch.allclose(weights_of(bare)[name], weights_of(aligned)[name], atol=1e-4)


def test_losses_are_logged_by_name_and_weighted(run):
    losses = metrics_of(run(alignment_weight=0.5, uni_weight=0.0, epochs=1))["train_losses"][0]
    assert list(losses) == ["bpr", "reg", "or", "glo", "loc"]
    half = metrics_of(run(alignment_weight=0.25, uni_weight=0.0, epochs=1))["train_losses"][0]
    assert half["or"] < losses["or"]


def test_all_models_see_the_same_data(run):
    prints = {metrics_of(run(m, epochs=1))["dataset_fingerprint"] for m in ("DaRec", "BPR", "EASE")}
    assert len(prints) == 1


def test_the_resolved_configuration_repeats_the_run(run):
    first = run(seed=3)
    file = RunFolder.open(first["run_folder"]).config
    second = run_recbole_darec(config_file_list=[str(file)])
    assert second["run_folder"] != first["run_folder"]
    assert_same_numbers(first, second)


def test_two_runs_in_one_process_log_to_two_files(run):
    before = logging.getLogger().handlers[:]
    first = run("BPR", epochs=1, state="INFO")
    second = run("Pop", state="INFO")
    assert logging.getLogger().handlers == before
    logs = [Path(r["run_folder"], "run.log").read_text() for r in (first, second)]
    assert "BPR(" in logs[0]
    assert "Pop(" not in logs[0]
    assert "Pop(" in logs[1]
    assert "BPR(" not in logs[1]


def test_what_is_logged_after_a_run_leaves_its_sealed_log_alone(run):
    folder = Path(run("Pop", state="INFO")["run_folder"])
    logging.getLogger().warning("said later")
    verify(folder)
    assert "said later" not in (folder / "run.log").read_text()


def test_unsaved_run_tests_its_best_epoch_and_keeps_no_checkpoint(run):
    kept = run("Backbone", epochs=5, learning_rate=0.1)
    gone = run("Backbone", saved=False, epochs=5, learning_rate=0.1)
    assert gone["test_result"] == kept["test_result"]
    assert not RunFolder.open(gone["run_folder"]).best.exists()


def test_eval_batches_of_users_change_no_metric(run):
    one = run("BPR", eval_batch_size=1)
    all_at_once = run("BPR", eval_batch_size=1000)
    assert one["test_result"] == all_at_once["test_result"]


def test_early_stopping_after_a_kill_resumes_to_the_same_numbers(settings, tmp_path, run):
    """SIGKILL in the middle of training, then ``resume``: the numbers of an unbroken run."""
    whole = run(epochs=6)
    script = tmp_path / "victim.py"
    script.write_text(
        "import os, signal, sys, json\n"
        "from recbole_darec.quick_start import run_recbole_darec\n"
        "def kill(epoch, score):\n"
        "    if epoch == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_recbole_darec('DaRec', 'small', config_dict=json.loads(sys.argv[1]),"
        " callback_fn=kill)\n"
    )
    place = tmp_path / "killed"
    given = {**settings, "epochs": 6, "checkpoint_dir": str(place)}
    killed = subprocess.run([sys.executable, script, json.dumps(given)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = place.iterdir()
    assert not (folder / "metrics.json").exists()
    resumed = run_recbole_darec(config_dict={"resume": str(folder)})
    assert resumed["run_folder"] == str(folder)
    assert_same_numbers(whole, resumed)
    for name, value in weights_of(whole).items():
        assert torch.equal(value, weights_of(resumed)[name]), name
    assert (
        run_recbole_darec(config_dict={"resume": str(folder)})["test_result"]
        == (resumed["test_result"])
    )


def test_a_run_that_was_killed_between_training_and_test_resumes(settings, run, monkeypatch):
    keys = {"metrics": ["NDCG", "ItemCoverage"], "valid_metric": "NDCG@10", "epochs": 2}
    whole = run(**keys)

    def kill(*_):
        raise KeyboardInterrupt

    place = Path(settings["checkpoint_dir"]) / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(RunTrainer, "test", kill)
        with pytest.raises(KeyboardInterrupt):
            run(**keys, checkpoint_dir=str(place))
    (folder,) = place.iterdir()
    resumed = run_recbole_darec(config_dict={"resume": str(folder)})
    assert_same_numbers(whole, resumed)
    assert resumed["test_result"]["itemcoverage@10"] > 0


@pytest.mark.parametrize("model", ["DaRec", "BPR"])
def test_without_validation_a_killed_run_resumes_as_well(settings, tmp_path, run, model):
    """RecBole calls back after no epoch then."""
    whole = run(model, epochs=4, eval_step=0)
    script = tmp_path / "victim.py"
    script.write_text(
        "import os, signal, sys, json\n"
        "from recbole_darec import quick_start, trainer\n"
        "save = trainer.RunTrainer._save_last\n"
        "def save_and_die(self, epoch, data):\n"
        "    save(self, epoch, data)\n"
        "    if epoch == 1:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "trainer.RunTrainer._save_last = save_and_die\n"
        f"quick_start.run_recbole_darec('{model}', 'small', config_dict=json.loads(sys.argv[1]))\n"
    )
    place = tmp_path / "killed"
    given = {**settings, "epochs": 4, "eval_step": 0, "checkpoint_dir": str(place)}
    subprocess.run([sys.executable, script, json.dumps(given)], check=False)
    (folder,) = place.iterdir()
    (folder / ".last.pth.0f").write_bytes(b"half a checkpoint")
    resumed = run_recbole_darec(config_dict={"resume": str(folder)})
    assert not list(folder.glob(".*"))
    assert_same_numbers(whole, resumed)
    assert metrics_of(resumed)["best_epoch"] == 3


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_that_was_killed_before_it_was_sealed_is_sealed_by_resume(run, saved):
    result = run("BPR", epochs=1)
    folder = Path(result["run_folder"])
    (folder / "SHA256SUMS").unlink()
    (folder / "last.pth").write_bytes(b"left")
    resumed = run_recbole_darec(config_dict={"resume": str(folder)}, saved=saved)
    assert resumed == result
    assert not (folder / "last.pth").exists()
    assert (folder / "model.pth").exists() == saved
    assert "metrics.json" in (folder / "SHA256SUMS").read_text()
    if saved:
        verify(folder)


class Payload:
    """What a pickle can do: here, to leave a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("saving", [{}, {"save_dataset": True}, {"save_dataloaders": True}])
def test_pickled_data_in_the_way_are_not_read(run, settings, tmp_path, saving):
    mark = tmp_path / "executed"
    folder = Path(run("BPR", epochs=1, **saving)["run_folder"])
    planted = pickle.dumps(Payload(mark))
    for name in ("small-Dataset.pth", "small-for-BPR-dataloader.pth"):
        (folder / name).write_bytes(planted)
        (Path(settings["checkpoint_dir"]) / name).write_bytes(planted)
    (folder / "metrics.json").unlink()
    (folder / "last.pth").touch()
    with pytest.raises(ConfigError, match="cannot be read: it is truncated"):
        run_recbole_darec(config_dict={"resume": str(folder)})
    create_dataset(Config("BPR", "small", config_dict={**settings, **saving}))
    assert not mark.exists()
    pickle.loads(planted)
    assert mark.exists()


def test_saved_loaders_give_the_numbers_of_others(run):
    plain, saving = run("BPR"), run("BPR", save_dataloaders=True)
    file = Path(saving["run_folder"], "small-for-BPR-dataloader.pth")
    reading = run("BPR", dataloaders_save_path=str(file), allow_pickle=True)
    assert_same_numbers(plain, saving)
    assert_same_numbers(plain, reading)


def saved_loaders(result, model):
    file = Path(result["run_folder"], f"small-for-{model}-dataloader.pth")
    return {"dataloaders_save_path": str(file), "allow_pickle": True}


def test_saved_loaders_take_the_embeddings_of_the_run_that_reads_them(run):
    """The first run had no placebo; what the second is told to use must be what it uses."""
    loaders = saved_loaders(run(save_dataloaders=True), "DaRec")
    for changed in ({}, {"embedding_placebo": "shuffle"}, {"item_template": "{movie_title}"}):
        fresh, reading = run(**changed), run(**changed, **loaders)
        assert_same_numbers(fresh, reading)
        key = "embedding_fingerprints"
        assert metrics_of(fresh)[key] == metrics_of(reading)[key]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_batch_size": 100}, "was saved with train_batch_size 2048, which RecBole keeps"),
        ({"train_neg_sample_args": {"sample_num": 2}}, "was saved with train_neg_sample_args {"),
    ],
)
def test_what_saved_loaders_keep_cannot_be_changed(run, changed, message):
    loaders = saved_loaders(run("BPR", epochs=1, save_dataloaders=True), "BPR")
    with pytest.raises(ConfigError, match=message):
        run("BPR", **changed, **loaders)


def test_saved_loaders_without_texts_do_not_serve_a_model_with_texts(run):
    loaders = saved_loaders(run("Backbone", epochs=1, save_dataloaders=True), "Backbone")
    with pytest.raises(ConfigError, match="without texts, which do not serve DaRec; leave the"):
        run(**loaders)


def test_saved_loaders_of_another_seed_are_not_used_in_silence(run):
    loaders = saved_loaders(run("BPR", epochs=1, save_dataloaders=True), "BPR")
    log = Path(run("BPR", epochs=1, seed=1, **loaders)["run_folder"], "run.log").read_text("utf-8")
    assert "is not used: the keys of its dataset, seed, repeatable or eval_args are others" in log


def test_a_dataset_is_saved_where_recbole_saves_it(run):
    folder = Path(run("BPR", epochs=1, save_dataset=True)["run_folder"])
    assert pickle.loads((folder / "small-Dataset.pth").read_bytes()).dataset_name == "small"


def test_a_folder_cannot_allow_pickles_by_itself(run):
    folder = Path(run("BPR", epochs=1, allow_pickle=True)["run_folder"])
    with pytest.raises(ConfigError, match="says allow_pickle: True, and reading a pickle can run"):
        run_recbole_darec(config_dict={"resume": str(folder)})
    again = run_recbole_darec(config_dict={"resume": str(folder), "allow_pickle": True})
    assert again["run_folder"] == str(folder)


def test_keys_that_the_model_does_not_read_stand_in_the_log(run):
    log = RunFolder.open(run("Pop", epochs=1)["run_folder"]).log.read_text("utf-8")
    assert "WARNING  key 'n_sampled' is not read by Pop; DaRec reads it" in log
    assert "learning_rate" not in log


@pytest.mark.parametrize(("steps", "warned"), [(1000, True), (1, False), (0, False)])
def test_an_epoch_that_is_kept_from_the_warm_up_is_told(run, steps, warned):
    folder = RunFolder.open(run("DaRec", epochs=1, alignment_warmup=steps)["run_folder"])
    log = folder.log.read_text("utf-8")
    said = re.findall(r"epoch that was kept came after (\d+) steps, .* had reached (\d+)%", log)
    assert len(said) == warned
    if warned:
        done, share = map(int, said[0])
        assert share == round(100 * done / steps)


@pytest.fixture
def own_data(settings, small_data, tmp_path):
    """A copy of the dataset with vectors of its items, to be changed."""
    shutil.copytree(small_data / "small", tmp_path / "data" / "small")
    items = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)
    ids = items["item_id:token"]
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(len(ids), 8)))
    (tmp_path / "v.ids.txt").write_text("\n".join(ids))
    return {
        **settings,
        "data_path": str(tmp_path / "data"),
        "item_template": None,
        "item_embedding_file": str(tmp_path / "v.npy"),
        "checkpoint_dir": str(tmp_path / "killed"),
    }


def killed_run(own_data):
    """Folder of a run that was interrupted after its second epoch."""

    def kill(epoch, score):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recbole_darec("DaRec", "small", config_dict=own_data, callback_fn=kill)
    (folder,) = Path(own_data["checkpoint_dir"]).iterdir()
    return folder


def test_resume_refuses_other_data(own_data):
    """The same rows in another order: other internal ids, and another split."""
    folder = killed_run(own_data)
    file = Path(own_data["data_path"], "small", "small.inter")
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(rows)]) + "\n")
    with pytest.raises(ConfigError, match="are not those that .* was trained on .*or their order"):
        run_recbole_darec(config_dict={"resume": str(folder)})
    file.write_text("\n".join([header, *rows]) + "\n")
    assert run_recbole_darec(config_dict={"resume": str(folder)})["test_result"]


def test_resume_finds_data_that_were_moved(own_data, tmp_path):
    folder = killed_run(own_data)
    Path(own_data["data_path"]).rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="Set data_path to the folder"):
        run_recbole_darec(config_dict={"resume": str(folder)})
    keys = {"resume": str(folder), "data_path": str(tmp_path / "moved")}
    resumed = run_recbole_darec(config_dict=keys)
    whole = {"data_path": keys["data_path"], "checkpoint_dir": str(tmp_path / "whole")}
    assert_same_numbers(run_recbole_darec("DaRec", "small", config_dict=own_data | whole), resumed)


def test_resume_tells_of_other_embeddings(own_data):
    folder = killed_run(own_data)
    vectors = np.load(own_data["item_embedding_file"])
    np.save(own_data["item_embedding_file"], vectors[::-1])
    run_recbole_darec(config_dict={"resume": str(folder)})
    log = (folder / "run.log").read_text("utf-8")
    for side in ("item", "user"):
        assert f"the {side}s' side embeddings are not bit-equal to those of the run" in log


@pytest.mark.parametrize("row", ["\t5", "3\t"])
def test_interactions_without_an_id_are_refused(own_data, row):
    """Of files that are the parts themselves RecBole would make a user or an item of them."""
    folder = Path(own_data["data_path"], "small")
    lines = (folder / "small.inter").read_text().splitlines()
    header, *rows = ["\t".join(line.split("\t")[:2]) for line in lines]
    parts = {"train": [*rows[:-20], row], "valid": rows[-20:-10], "test": rows[-10:]}
    for part, lines in parts.items():
        (folder / f"small.{part}.inter").write_text("\n".join([header, *lines]) + "\n")
    keys = {"benchmark_filename": list(parts), "val_interval": None}
    with pytest.raises(ConfigError, match="1 interactions of 'small' have no user or no item id"):
        run_recbole_darec("Backbone", "small", config_dict={**own_data, **keys})


def test_filters_that_do_nothing_are_told(own_data):
    folder = Path(own_data["data_path"], "small")
    for part in ("train", "valid", "test"):
        shutil.copy(folder / "small.inter", folder / f"small.{part}.inter")
    keys = {
        "benchmark_filename": ["train", "valid", "test"],
        "val_interval": {"rating": "[5,inf)"},
        "load_col": {"inter": RATED},
        "epochs": 1,
    }
    result = run_recbole_darec("Backbone", "small", config_dict={**own_data, **keys})
    log = Path(result["run_folder"], "run.log").read_text("utf-8")
    assert "gives the parts, without effect: val_interval; filter the files themselves" in log


def test_labels_that_nobody_reads_are_told(run):
    keys = {"threshold": {"rating": 4}, "load_col": {"inter": RATED}, "val_interval": None}
    log = Path(run("BPR", epochs=1, **keys)["run_folder"], "run.log").read_text("utf-8")
    assert "threshold has no effect: it makes labels, and a model that draws negatives" in log
    labeled = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC"], "valid_metric": "AUC"}
    log = Path(run("BPR", epochs=1, **keys, **labeled)["run_folder"], "run.log").read_text("utf-8")
    assert "threshold has no effect" not in log


def test_resume_refuses_another_configuration(run, settings, tmp_path):
    done = run("BPR", epochs=1)
    with pytest.raises(ConfigError, match="keeps its configuration, but seed differs"):
        run_recbole_darec(config_dict={"resume": done["run_folder"], "seed": 9})
    with pytest.raises(ConfigError, match="keeps its configuration, but or_weight differs"):
        run_recbole_darec(config_dict={"resume": done["run_folder"], "or_weight": 0.5})
    with pytest.raises(ConfigError, match="keeps its configuration, but dataset, model differs"):
        run_recbole_darec("Pop", "ml-100k", config_dict={"resume": done["run_folder"]})
    same = {"resume": done["run_folder"], "data_path": settings["data_path"]}
    assert run_recbole_darec("BPR", "small", config_dict=same) == done
    with pytest.raises(ConfigError, match="is not a run folder: it has no config.yaml"):
        run_recbole_darec(config_dict={"resume": str(tmp_path)})
    Path(done["run_folder"], "metrics.json").unlink()
    with pytest.raises(ConfigError, match="the run ended before an epoch did"):
        run_recbole_darec(config_dict={"resume": done["run_folder"]})


def test_resume_accepts_the_keys_of_the_runs_own_model(run):
    done = run("Backbone", backbone="SimGCL", eps=0.5, epochs=1)
    again = [f"--resume={done['run_folder']}", "--eps=0.5"]
    assert run_recbole_darec(command_line=again) == done
    with pytest.raises(ConfigError, match="keeps its configuration, but eps differs"):
        run_recbole_darec(command_line=[again[0], "--eps=0.4"])


@pytest.mark.parametrize(
    "failing", [(UserValues, "save"), (RunFolder, "write_metrics"), (quick_start, "seal")]
)
def test_results_that_cannot_be_written_are_told_and_written_by_resume(
    run, settings, monkeypatch, failing
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    place = Path(settings["checkpoint_dir"]) / "full"
    with monkeypatch.context() as patch:
        patch.setattr(*failing, full)
        with pytest.raises(
            ConfigError, match=r"written .*is the disk full.* Test result: \{'recall"
        ):
            run("BPR", epochs=1, checkpoint_dir=str(place))
    (folder,) = place.iterdir()
    resumed = run_recbole_darec(config_dict={"resume": str(folder)})
    assert resumed["test_result"] == run("BPR", epochs=1)["test_result"]


def test_a_run_whose_scorer_cannot_be_written_ends_without_it(run, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SavedScorer, "save", full)
    folder = Path(run("BPR", epochs=1)["run_folder"])
    assert (folder / "metrics.json").is_file()
    assert "No serving.npz, recommending will load" in (folder / "run.log").read_text()


@pytest.mark.parametrize("damage", ["truncated", "foreign model"])
def test_resume_refuses_a_damaged_checkpoint(run, damage):
    folder = RunFolder.open(run("BPR", epochs=1)["run_folder"])
    folder.metrics.unlink()
    if damage == "truncated":
        folder.last.write_bytes(folder.best.read_bytes()[:100])
        message = "cannot be read: it is truncated"
    else:
        state = checkpoint.load(folder.best)
        state["config"]["model"] = "NeuMF"
        checkpoint.save(folder.last, {k: v for k, v in state.items() if k != "format"})
        message = "is of model NeuMF, this run is of BPR"
    with pytest.raises(ConfigError, match=message):
        run_recbole_darec(config_dict={"resume": str(folder.path)})


def test_propagation_and_bpr_equal_recboles_lightgcn_in_a_run(run, settings):
    """Same seed, same split, same batches: both learn the same thing."""
    ours = metrics_of(run("Backbone", epochs=2))
    theirs = metrics_of(run("LightGCN", epochs=2))
    total = [sum(epoch.values()) for epoch in ours["train_losses"]]
    assert total == pytest.approx([e["train loss"] for e in theirs["train_losses"]], rel=1e-5)
    assert ours["dataset_fingerprint"] == theirs["dataset_fingerprint"]


def test_recboles_class_itself_runs_for_recboles_names(settings):
    config = Config("LightGCN", "small", config_dict=settings)
    init_seed(1, True)
    train, _, _ = prepare_data(config, create_dataset(config))
    assert type(build_model(config, train._dataset)) is LightGCN


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"val_interval": {"rating": "[9,inf)"}, "load_col": {"inter": RATED}},
            "is empty after filtering: relax val_interval",
        ),
        (
            {"user_inter_num_interval": "[1000,inf)"},
            "is empty after filtering: relax user_inter_num_interval$",
        ),
        (
            {"load_col": {"inter": ["user_id", "item_idd"]}},
            "'load_col' loads .*, without 'item_id'",
        ),
        (
            {
                "eval_args": {"mode": "labeled"},
                "metrics": ["AUC"],
                "valid_metric": "AUC",
                "load_col": None,
            },
            "mode is labeled, but the interactions of 'small' have no column 'label'",
        ),
        ({"benchmark_filename": ["train", "valid", "test"]}, "small.train.inter.* not found in"),
        ({"item_template": None}, "has no text and no embeddings"),
        ({"topk": [10, 91]}, "'topk' asks for 91 items, but 'small' has 90: lower topk"),
        (
            {"eval_args": {"order": "TO"}, "load_col": {"inter": RATED}, "TIME_FIELD": "when"},
            "load_col leaves out 'when': load it",
        ),
        (
            {"eval_args": {"order": "TO"}, "load_col": None, "TIME_FIELD": "when"},
            "orders 'small' by time, but its interactions have no column 'when': set TIME_FIELD",
        ),
        ({"item_template": "{movie_titel}"}, "movie_titel"),
        (
            {"unused_col": {"inter": ["user_id"]}},
            "'unused_col' of 'inter' holds 'user_id', which ev",
        ),
        ({"seq_len": {"class": "3"}, "load_col": None}, "cannot be used: .* Check load_col, .*seq"),
        ({"text_encoder": "no-such/encoder"}, "no-such/encoder"),
    ],
)
def test_mistakes_in_data_are_named_before_training(run, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run(**overrides)


@pytest.mark.parametrize("split", [{"RS": [0.8, 0.2, 0]}, {"LS": "valid_only"}])
@pytest.mark.parametrize("model", ["DaRec", "BPR"])
def test_without_a_test_part_a_run_ends_after_validation_as_in_recbole(run, model, split):
    result = run(model, epochs=1, eval_args={"split": split})
    assert result["test_result"] is None
    assert result["best_valid_score"] > 0
    with pytest.raises(ConfigError, match="the run has no test part"):
        analyze(result["run_folder"])


def test_an_empty_training_part_is_named(run):
    with pytest.raises(ConfigError, match="the training part of 'small' is empty; check eval_args"):
        run("BPR", eval_args={"split": {"RS": [1e-300, 1, 0]}})


def few_interactions(folder, each):
    """A dataset ``small`` of 40 users with so many interactions each."""
    (folder / "small").mkdir()
    pairs = [(user, (user + i) % 20) for user in range(40) for i in range(each)]
    frame = pd.DataFrame(pairs, columns=["user_id:token", "item_id:token"])
    frame.to_csv(folder / "small" / "small.inter", sep="\t", index=False)
    return {"data_path": str(folder), "load_col": None, "topk": [5], "valid_metric": "MRR@5"}


@pytest.mark.parametrize(("each", "empty"), [(1, ["validation", "test"]), (2, ["validation"])])
def test_parts_that_the_split_leaves_empty_are_told(run, tmp_path, each, empty):
    result = run("BPR", epochs=2, **few_interactions(tmp_path, each))
    log = (Path(result["run_folder"]) / "run.log").read_text()
    assert re.findall("The (.*) part is empty: no user has an interaction to spare", log) == empty
    assert (result["test_result"] is None) is ("test" in empty)
    assert metrics_of(result)["best_epoch"] == 1


def test_parts_that_were_not_asked_for_are_not_told_of(run, tmp_path):
    keys = few_interactions(tmp_path, 2) | {"eval_args": {"split": {"RS": [1, 0, 0]}}}
    result = run("BPR", epochs=1, **keys)
    assert "is empty" not in (Path(result["run_folder"]) / "run.log").read_text()


def test_files_without_interactions_are_not_blamed_on_filters(run, tmp_path):
    with pytest.raises(ConfigError, match="'small' is empty: its files hold no interactions$"):
        run("BPR", **few_interactions(tmp_path, 0))


def test_ml_100k_is_recboles_whatever_data_path_says(settings, tmp_path):
    (tmp_path / "ml-100k").mkdir()
    keys = {**settings, "data_path": str(tmp_path), "epochs": 0, "val_interval": None}
    result = run_recbole_darec("Pop", "ml-100k", config_dict=keys)
    log = (Path(result["run_folder"]) / "run.log").read_text()
    assert f"{tmp_path / 'ml-100k'} is not read: RecBole takes its own copy of ml-100k" in log


LABELED = {
    "eval_args": {"mode": "labeled", "split": {"RS": [0.8, 0.1, 0.1]}},
    "load_col": {"inter": RATED},
    "threshold": {"rating": 0},
    "metrics": ["AUC", "LogLoss"],
}


def test_a_metric_that_is_no_number_is_null_in_the_results_and_nan_when_read(run):
    """All labels are 1, so that RecBole has no AUC."""
    result = run("BPR", epochs=1, valid_metric="LogLoss", **LABELED)
    assert math.isnan(metrics_of(result)["test_result"]["auc"])

    def refuse(word):
        raise AssertionError(word)

    text = (Path(result["run_folder"]) / "metrics.json").read_text()
    written = json.loads(text, parse_constant=refuse)
    assert written["test_result"]["auc"] is None
    assert written["test_result"]["logloss"] > 0


def test_a_validation_score_that_is_no_number_is_named_at_once(run):
    seen = []
    with pytest.raises(ConfigError, match="valid_metric 'AUC' is nan .* set valid_metric to anoth"):
        run("BPR", valid_metric="AUC", callback_fn=lambda epoch, _: seen.append(epoch), **LABELED)
    assert seen == []


def test_a_run_that_is_still_running_is_not_resumed(run, settings):
    """A second process would write over the checkpoints of the first."""
    said = []

    def resume(epoch, _):
        (folder,) = Path(settings["checkpoint_dir"]).iterdir()
        with pytest.raises(ConfigError) as refused:
            run_recbole_darec(config_dict={"resume": str(folder)})
        said.append(str(refused.value))

    result = run("BPR", epochs=1, callback_fn=resume)
    (message,) = said
    assert message == (
        f"another process is at work in {result['run_folder']}; wait for its end, or start a new "
        "run"
    )


def test_without_validation_the_best_score_is_recboles(run):
    assert run("BPR", epochs=0)["best_valid_score"] == -math.inf


def test_ncl_with_more_clusters_than_users_is_named(run):
    with pytest.raises(ConfigError, match="model 'NCL' cannot make 1000 clusters of .* set key"):
        run("NCL", epochs=1)


@pytest.mark.parametrize("model", ["DaRec", "BPR"])
def test_a_dataset_is_saved_and_used_as_in_recbole(run, settings, model):
    first = run(model, epochs=1, save_dataset=True, state="INFO")
    (saved,) = Path(first["run_folder"]).glob("small-*.pth")
    keys = {"dataset_save_path": str(saved), "allow_pickle": True, "state": "INFO"}
    again = run(model, epochs=1, **keys)
    assert again["test_result"] == first["test_result"]
    log = (Path(again["run_folder"]) / "run.log").read_text()
    assert "Load filtered dataset from" in log


@pytest.mark.parametrize("models", [("BPR", "DaRec"), ("DaRec", "BPR")])
def test_a_dataset_saved_by_another_kind_of_model_is_refused(run, models):
    first = run(models[0], epochs=0, save_dataset=True)
    (saved,) = Path(first["run_folder"]).glob("small-*.pth")
    with pytest.raises(ConfigError, match=f"holds a dataset .*, which does not serve {models[1]}"):
        run(models[1], dataset_save_path=str(saved), allow_pickle=True)


def test_a_saved_dataset_that_cannot_be_read_is_named(run, tmp_path):
    (tmp_path / "junk.pth").write_bytes(b"junk")
    keys = {"dataset_save_path": str(tmp_path / "junk.pth"), "allow_pickle": True}
    with pytest.raises(ConfigError, match=r"'dataset_save_path': .*junk\.pth cannot be read"):
        run("BPR", **keys)


def test_saved_dataloaders_without_a_test_part(run):
    keys = {"save_dataloaders": True, "eval_args": {"split": {"RS": [0.8, 0.2, 0]}}}
    assert run("BPR", epochs=1, **keys)["test_result"] is None


def test_a_placebo_run_of_an_earlier_version_loads_with_its_own_users(run):
    keys = {"embedding_placebo": "shuffle", "embedding_placebo_users": "item_mean", "epochs": 1}
    folder = Path(run(**keys)["run_folder"])
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["embedding_placebo_users"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    assert load(folder).config["embedding_placebo_users"] == "item_mean"


def test_damage_in_the_store_of_texts_is_named_as_such(run, settings, tmp_path):
    run(epochs=0)
    shutil.copytree(settings["embedding_dir"], tmp_path / "store")
    for file in (tmp_path / "store").glob("*/shard-*.npy"):
        if ".keys." not in file.name:
            np.load(file, mmap_mode="r+")[:] = np.nan
    message = "the texts or embeddings of 'small' cannot be used: .*NaN.*; 'embed verify' looks for"
    with pytest.raises(ConfigError, match=message):
        run(embedding_dir=str(tmp_path / "store"))


def test_unwritable_output_folder(run, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="cannot be written .*set checkpoint_dir"):
        run(checkpoint_dir=str(file / "saved"))


def test_a_diverging_run_says_what_to_change(run):
    with pytest.raises(ConfigError, match="training loss is .*lower learning_rate"):
        run("Backbone", learning_rate=1e30, reg_weight=1.0, epochs=3)


def test_recboles_model_that_cannot_train_in_mixed_precision_is_named(run):
    with pytest.raises(ConfigError, match="LightGCN does not train in mixed .* enable_amp"):
        run("LightGCN", enable_amp=True, epochs=1)


@pytest.mark.parametrize("learner", ["adam", "adamw", "sgd", "adagrad", "rmsprop"])
def test_every_learner_trains(run, learner):
    losses = metrics_of(run("Backbone", backbone="MF", learner=learner, epochs=2))["train_losses"]
    assert losses[1]["bpr"] < losses[0]["bpr"]


def test_a_run_that_is_refused_once_its_model_is_built_leaves_no_folder(run, settings, monkeypatch):
    monkeypatch.setattr("recbole_darec.config.READING_TABLES", ())
    with pytest.raises(ConfigError, match="changes the representations that are scored"):
        run("KAR", backbone="recbole/SimpleX")
    assert not list(Path(settings["checkpoint_dir"]).iterdir())


def test_a_folder_with_a_checkpoint_is_not_discarded(tmp_path):
    (tmp_path / "last.pth").touch()
    RunFolder(tmp_path).discard()
    assert tmp_path.is_dir()
