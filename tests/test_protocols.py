"""Presets of training and evaluation, and RecBole's models as backbones, in the configuration."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recbole_darec import compat
from recbole_darec.backbone.recbole_models import SERVING, why_refused
from recbole_darec.config import Config
from recbole_darec.keys import ConfigError
from recbole_darec.known_keys import all_key_names
from recbole_darec.paths import properties_dir
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.registry import FAMILIES, parts, recbole_properties

PRESETS = sorted((properties_dir() / "protocol").glob("*.yaml"))


def config(model="Backbone", **keys):
    return Config(model, config_dict=keys)


@pytest.mark.parametrize("file", PRESETS, ids=lambda file: file.stem)
def test_every_key_of_a_preset_exists(file):
    values = yaml.safe_load(file.read_text()) or {}
    by_part = values.pop("parts", {})
    assert set(values) <= all_key_names()
    known = {name: part for family in FAMILIES for name, part in parts(family).items()}
    for name, keys in by_part.items():
        assert set(keys) <= set(known[name].load().keys), name


def test_rlmrec_sets_what_the_reference_says():
    preset = config(backbone="LightGCN", protocol="rlmrec")
    expected = {
        "embedding_size": 32,
        "learning_rate": 1e-3,
        "train_batch_size": 4096,
        "epochs": 3000,
        "eval_step": 3,
        "stopping_step": 4,
        "metrics": ["Recall", "NDCG"],
        "topk": [5, 10, 20],
        "valid_metric": "Recall@20",
        "mask_valid_at_test": False,
        "n_layers": 3,
        "layer_aggregation": "sum",
        "keep_rate": 0.8,
        "bpr": "softplus",
        "reg": "all",
        "reg_weight": 1e-6,
    }
    assert {key: preset[key] for key in expected} == expected


def test_rlmrec_sets_keys_of_the_alignment():
    assert config("RLMRecGen", protocol="rlmrec")["gen_mask_ratio"] == 0.15
    assert config("RLMRecGen")["gen_mask_ratio"] == 0.1
    assert config("RLMRecGen", protocol="rlmrec", gen_mask_ratio=0.3)["gen_mask_ratio"] == 0.3


def test_preset_is_recboles_unless_asked_for():
    plain = config(backbone="LightGCN")
    assert (plain["mask_valid_at_test"], plain["embedding_size"]) == (True, 64)
    assert (plain["layer_aggregation"], plain["reg"], plain["eval_step"]) == ("mean", "batch", 1)


def test_your_own_settings_stand_above_the_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("reg: batch\n")
    mine = Config(
        "Backbone",
        config_file_list=[file],
        config_dict={"backbone": "LightGCN", "protocol": "rlmrec", "embedding_size": 16},
        command_line=["--keep_rate=0.5"],
    )
    assert (mine["reg"], mine["embedding_size"], mine["keep_rate"]) == ("batch", 16, 0.5)
    assert mine["layer_aggregation"] == "sum"


@pytest.mark.parametrize("name", sorted(parts("backbone")))
def test_a_preset_sets_only_keys_that_the_backbone_has(name):
    preset = config(backbone=name, protocol="rlmrec")
    for key in ("layer_aggregation", "keep_rate", "bpr", "reg"):
        assert (key in preset) == (key in parts("backbone")[name].load().keys), key


def test_a_preset_leaves_the_objective_of_recboles_models_alone():
    preset = config("LightGCN", protocol="rlmrec")
    own = yaml.safe_load(recbole_properties("LightGCN").read_text())
    assert preset["reg_weight"] == float(own["reg_weight"])
    assert "reg" not in preset
    assert preset["mask_valid_at_test"] is False
    adapted = config(backbone="recbole/LightGCN", protocol="rlmrec")
    assert adapted["reg_weight"] == float(own["reg_weight"])


def test_unknown_preset_is_named():
    with pytest.raises(ConfigError, match="'protocol' is 'rlmrek'; expected one of recbole, rlm"):
        config(protocol="rlmrek")


def test_adapted_backbone_has_the_keys_of_recboles_yaml():
    adapted = config("DaRec", backbone="recbole/NGCF")
    theirs = yaml.safe_load(recbole_properties("NGCF").read_text())
    assert adapted["hidden_size_list"] == theirs["hidden_size_list"]
    assert config("DaRec", backbone="recbole/NGCF", hidden_size_list=[8])["hidden_size_list"] == [8]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("recbole/NGFC", "'recbole/NGFC' does not exist; did you mean 'recbole/NGCF'"),
        ("recbole/", "'recbole/' does not exist"),
        ("recbole/MultiVAE", "'recbole/MultiVAE' cannot serve: it has no tables of user"),
        ("recbole/EASE", "'recbole/EASE' cannot serve: it learns no embeddings at all; these can:"),
        ("recbole/NNCF", "cannot serve: its scores depend on more than one representation"),
    ],
)
def test_backbones_that_cannot_serve_are_refused_before_any_data_is_read(backbone, message):
    with pytest.raises(ConfigError, match=message):
        config("DaRec", backbone=backbone, data_path="/nowhere")


def test_every_model_of_recbole_is_either_serving_or_refused_with_a_reason():
    for name in compat.general_recommenders():
        assert (name in SERVING) != (why_refused(name) is not None), name


def test_our_models_cannot_do_without_negative_items():
    with pytest.raises(ConfigError, match="'train_neg_sample_args' asks for no negative items"):
        config("DaRec", train_neg_sample_args=None)
    assert config("EASE", train_neg_sample_args=None)["MODEL_INPUT_TYPE"] is not None


@pytest.mark.parametrize(
    ("model", "backbone"), [("DaRec", "recbole/NGCF"), ("Backbone", "recbole/SGL")]
)
def test_the_script_trains_on_adapted_models(run, small_data, model, backbone):
    result = run(model, backbone=backbone, epochs=1)
    assert 0 < result["test_result"]["ndcg@10"] < 1


NEEDS_FAISS = pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="NCL clusters with faiss"
)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        *[(name, {}) for name in ("BPR", "LightGCN", "SGL", "SimpleX", "NGCF")],
        pytest.param("NCL", {"warm_up_step": 1, "proto_reg": 1.0}, marks=NEEDS_FAISS),
    ],
)
def test_a_bare_adapted_model_has_the_numbers_of_recboles(run, name, keys):
    keys = {"num_clusters": 5} | keys if name == "NCL" else keys
    theirs = run(name, epochs=2, **keys)
    adapted = run("Backbone", backbone=f"recbole/{name}", epochs=2, **keys)
    assert adapted["test_result"] == theirs["test_result"]
    assert adapted["best_valid_result"] == theirs["best_valid_result"]


@NEEDS_FAISS
@pytest.mark.parametrize("model", ["NCL", "Backbone"])
def test_ncl_resumed_between_two_clusterings_has_the_numbers_of_an_unbroken_run(
    run, settings, tmp_path, model
):
    keys = {"epochs": 3, "m_step": 2, "warm_up_step": 0, "proto_reg": 1.0, "num_clusters": 5}
    keys |= {"backbone": "recbole/NCL"} if model == "Backbone" else {}
    whole = run(model, **keys)
    script = (
        "import json, os, signal, sys\n"
        "from recbole_darec.quick_start import run_recbole_darec\n"
        "stop = lambda epoch, score: epoch == 0 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_recbole_darec(*json.loads(sys.argv[1]), callback_fn=stop)\n"
    )
    given = [model, "small", None, {**settings, **keys, "checkpoint_dir": str(tmp_path / "run")}]
    command = [sys.executable, "-c", script, json.dumps(given)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "run").iterdir()
    assert (
        run_recbole_darec(config_dict={"resume": str(folder)})["test_result"]
        == (whole["test_result"])
    )


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("MultiVAE", {"total_anneal_steps": 60, "anneal_cap": 1.0}),
        ("MacridVAE", {"total_anneal_steps": 60, "anneal_cap": 1.0}),
        ("LDiffRec", {}),
        ("DiffRec", {}),
        ("LINE", {}),
        ("Backbone", {"backbone": "recbole/LINE"}),
    ],
)
def test_what_a_model_counts_while_it_trains_survives_a_kill(run, settings, tmp_path, model, keys):
    keys = {"epochs": 4, "train_batch_size": 64, **keys}
    whole = run(model, **keys)

    def kill(epoch, _):
        if epoch == 1:
            raise KeyboardInterrupt

    given = {**settings, **keys, "checkpoint_dir": str(tmp_path / "killed")}
    with pytest.raises(KeyboardInterrupt):
        run_recbole_darec(model, "small", config_dict=given, callback_fn=kill)
    (folder,) = (tmp_path / "killed").iterdir()
    resumed = run_recbole_darec(config_dict={"resume": str(folder)})
    assert resumed["test_result"] == whole["test_result"]
    losses = [
        json.loads((Path(result["run_folder"]) / "metrics.json").read_text())["train_losses"]
        for result in (whole, resumed)
    ]
    assert losses[0] == losses[1]


def test_repeatable_leaves_nothing_out_of_the_ranking_as_in_recbole(run, settings):
    """RecBole then masks no item, so that training items are recommended again."""
    keys = {"epochs": 1, "repeatable": True}
    ours = run("BPR", **keys)["test_result"]
    assert ours == run("Backbone", backbone="recbole/BPR", **keys)["test_result"]
    assert ours != run("BPR", epochs=1)["test_result"]
