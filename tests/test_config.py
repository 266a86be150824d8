"""Configuration: precedence, strictness, device, paths."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import recbole
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbole_darec import compat
from recbole_darec.alignment.darec import DaRec
from recbole_darec.alignment.rlmrec_con import RLMRecCon
from recbole_darec.backbone.mf import MF
from recbole_darec.command_line import literal
from recbole_darec.config import Config
from recbole_darec.keys import ConfigError, Key
from recbole_darec.known_keys import all_key_names, general_keys, recbole_model_keys
from recbole_darec.paths import properties_dir
from recbole_darec.registry import parts


def test_defaults_are_darec_on_ml_100k():
    config = Config()
    assert (config.model, config.dataset) == ("DaRec", "ml-100k")
    assert config["backbone"] == "LightGCN"


def test_command_line_beats_dict_beats_file_beats_package(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("epochs: 1\nlearning_rate: 1e-2\nseed: 1\ntopk: 5\n")
    second.write_text("learning_rate: 2e-2\nseed: 2\ntopk: [10]\n")
    config = Config(
        config_file_list=[first, second],
        config_dict={"seed": 3, "topk": [10, 20]},
        command_line=["--topk=[10,50]"],
    )
    assert config["epochs"] == 1
    assert config["learning_rate"] == 0.02
    assert config["seed"] == 3
    assert config["topk"] == [10, 50]
    assert config["stopping_step"] == 10


def test_argv_of_the_process_is_not_read(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["worker", "--node-ip-address=1.2.3.4", "--epochs=7"])
    assert Config()["epochs"] == 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("[10,20]", [10, 20]),
        ("[train,valid,test]", ["train", "valid", "test"]),
        ("{'RS': [0.8, 0.1, 0.1]}", {"RS": [0.8, 0.1, 0.1]}),
        ("true", True),
        ("None", None),
        ("~", None),
        ("LightGCN", "LightGCN"),
        ("__import__('os').getpid()", "__import__('os').getpid()"),
    ],
)
def test_strings_are_literals_and_never_evaluated(text, value):
    assert literal(text) == value
    assert Config(config_dict={"wandb_project": text})["wandb_project"] == value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("item_template", "{movie_title}", "{movie_title}"),
        ("item_template", "~", None),
        ("embedding_placebo", "none", "none"),
        ("checkpoint_dir", "1", "1"),
    ],
)
def test_text_keys_keep_their_text(key, text, value):
    config = Config(command_line=[f"--{key}={text}"])
    assert config.external_config_dict[key] == value


@given(
    st.one_of(
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(st.integers()),
        st.booleans(),
    )
)
def test_every_printed_value_is_read_back(value):
    assert literal(repr(value)) == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "LigthGCN"}, "model 'LigthGCN' does not exist; did you mean 'LightGCN'"),
        ({"model": "darec"}, "did you mean 'DaRec'"),
        ({"model": "SimGCL"}, "'SimGCL' is a backbone: --model=Backbone --backbone=SimGCL trains"),
        (
            {"model": "recbole/NGCF"},
            "is a backbone: --model=Backbone --backbone=recbole/NGCF trains it alone, --model=NGCF",
        ),
        (
            {"config_dict": {"backbone": "NGCF"}},
            "RecBole has a model of that name, which is written recbole/NGCF$",
        ),
        (
            {"config_dict": {"backbone": "EASE"}},
            "which is written recbole/EASE: it cannot serve, for it learns no embeddings",
        ),
        (
            {"model": "SASRec"},
            "model 'SASRec' is one of RecBole's sequential recommenders; ours and",
        ),
        (
            {"config_dict": {"backbone": "recbole/SASRec"}},
            "backbone 'recbole/SASRec' is one of RecBole's sequential recommenders; known are",
        ),
        (
            {"config_dict": {"backbone": "recbole/Sgl"}},
            "does not exist; did you mean 'recbole/SGL'",
        ),
        ({"model": "FM"}, "model 'FM' is one of RecBole's context-aware recommenders"),
        ({"dataset": "ml-1000k"}, "dataset 'ml-1000k' does not exist; did you mean 'ml-100k'"),
        (
            {"config_dict": {"aligment_weight": 1}},
            "key 'aligment_weight' does not exist; did you mean 'alignment_weight'",
        ),
        (
            {"command_line": ["--learning_rat=1"]},
            "key 'learning_rat' does not exist; did you mean 'learning_rate'",
        ),
        ({"command_line": ["epochs=1"]}, "argument 'epochs=1' is not of the form --key=value"),
        ({"command_line": ["--epochs=1", "--epochs=2"]}, "key 'epochs' is given twice"),
        ({"config_dict": {"backbone": "LightGNC"}}, "did you mean 'LightGCN'"),
        ({"config_dict": {"alignment_weight": -1}}, "key 'alignment_weight' is -1"),
        ({"config_dict": {"n_centers": 2.5}}, "key 'n_centers' is 2.5 .float.; expected an int"),
        ({"config_dict": {"learning_rate": 0}}, "key 'learning_rate' is 0"),
        ({"config_dict": {"epochs": "many"}}, "key 'epochs' is 'many'"),
        (
            {"config_dict": {"valid_metric": "Recall@20"}},
            "valid_metric 'Recall@20' is not computed",
        ),
        *(
            (
                {"config_dict": {"valid_metric": wrong, "metrics": metrics}},
                f"'{wrong}' is not .* {s}",
            )
            for wrong, metrics, s in (
                ("NDCG", ["NDCG"], "which give ndcg@10$"),
                ("GAUC@10", ["GAUC", "MRR"], "which give gauc, mrr@10$"),
            )
        ),
        *(
            ({"config_dict": {"benchmark_filename": names}}, "expected the suffixes of three files")
            for names in ("train", ["train", "test"], ["a", "b", "c", "d"], ["train", "valid", 3])
        ),
        ({"config_dict": {"gpu_id": "0", "nproc": 2}}, "several processes is not supported"),
        ({"config_dict": {"dataset_save_path": "x.pth"}}, "allow_pickle"),
        ({"config_file_list": ["absent.yaml"]}, "config file absent.yaml cannot be read"),
    ],
)
def test_mistakes_are_named_with_the_remedy(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Config(**arguments)


def test_scores_that_nothing_teaches_to_rank_are_refused_before_texts_are_read():
    keys = {"score": "concat", "item_text_file": "/nowhere.jsonl"}
    with pytest.raises(ConfigError, match="concat scores .* 'rank_weight' is 0: leave it at 1"):
        Config("DaRec", config_dict=keys | {"rank_weight": 0})
    for others in ({}, {"rank_weight": 0, "alignment_weight": 0}):
        assert Config("DaRec", config_dict=keys | others)["score"] == "concat"


@pytest.mark.parametrize(
    ("model", "keys", "message"),
    [
        ("KAR", {"backbone": "recbole/SimpleX"}, "nothing would be learnt"),
        ("DaRec", {"backbone": "recbole/SimpleX", "score": "sum"}, "nothing would be learnt"),
        ("DaRec", {"backbone": "recbole/NeuMF", "score": "concat"}, "does not score by inner"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_before_texts_are_read(model, keys, message):
    keys |= {"item_text_file": "/nowhere.jsonl"}
    with pytest.raises(ConfigError, match=message):
        Config(model, config_dict=keys)
    assert Config(model, config_dict=keys | {"alignment_weight": 0})["backbone"] == keys["backbone"]


@pytest.mark.parametrize(
    ("part", "attribute", "model", "keys", "message"),
    [
        (MF, "by_product", "DaRec", {"backbone": "MF", "score": "concat"}, "score by inner"),
        (MF, "fusible", "KAR", {"backbone": "MF"}, "nothing would be learnt"),
        (RLMRecCon, "fuses", "RLMRecCon", {"backbone": "recbole/SimpleX"}, "nothing would be"),
        (RLMRecCon, "widens", "RLMRecCon", {"backbone": "recbole/ENMF"}, "score by inner"),
    ],
)
def test_what_parts_say_of_themselves_counts_before_texts_are_read(
    monkeypatch, part, attribute, model, keys, message
):
    Config(model, config_dict=keys)
    monkeypatch.setattr(part, attribute, not getattr(part, attribute))
    with pytest.raises(ConfigError, match=message):
        Config(model, config_dict=keys)


def test_a_ranking_of_its_own_is_learnt_where_it_is_scored_alone():
    terms = {
        score: set(DaRec.active_weights(Config("DaRec", config_dict={"score": score})))
        for score in ("backbone", "sum", "semantic", "concat")
    }
    own = {"or", "uni", "glo", "loc"}
    assert terms == {"backbone": own, "sum": own, "semantic": own, "concat": own | {"rank"}}


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("DaRec", ["--align_weight=1"], "does not exist; did you mean 'alignment_weight'"),
        ("DaRec", ["--num_layers=3"], "'num_layers' does not exist; did you mean 'n_layers'"),
        ("BPR", ["--xgb_model=3"], "key 'xgb_model' does not exist"),
        ("BPR", ["--amazon-books=3"], "key 'amazon-books' does not exist"),
        ("BPR", ["--max_seq_length=3"], "key 'max_seq_length' does not exist"),
        ("DaRec", ["--device=cuda"], "'device' does not exist; set use_gpu, and gpu_id for one of"),
        (
            "DaRec",
            ["--ssl_tau=0.3"],
            "'ssl_tau' is not read by DaRec on LightGCN; DCCF, SGL, SimGCL, RecBole's SGL read it",
        ),
        (
            "DaRec",
            ["--backbone=GCCF", "--layer_aggregation=nonsense"],
            "'layer_aggregation' is not read by DaRec on GCCF; LightGCN, SGL, SimGCL read it",
        ),
        ("BPR", ["--n_centers=4"], "'n_centers' is not read by BPR; DaRec reads it"),
        (
            "Backbone",
            ["--alignment_weight=1"],
            "not read by Backbone on LightGCN; DaRec, KAR, RLMRecCon, RLMRecGen read it",
        ),
        ("BPR", ["--backbone=MF"], "not read by BPR; DaRec, KAR, .*, Backbone read it"),
        ("BPR", ["--item_template=x"], "not read by BPR; DaRec, KAR, .*, AlphaRec read it"),
        ("Pop", ["--embedding_size=8"], r"not read by Pop; .* and \d+ more read it"),
        ("DaRec", ["--world_size=2"], "not read by DaRec on LightGCN; no model reads it"),
    ],
)
def test_an_argument_that_nothing_reads_is_refused(model, arguments, message):
    with pytest.raises(ConfigError, match=message):
        Config(model, command_line=arguments)


def test_a_key_that_nothing_reads_is_a_warning_where_it_is_not_on_the_command_line(
    tmp_path, caplog
):
    file = tmp_path / "shared.yaml"
    file.write_text("ssl_tau: 0.3\nreg_weight: 1e-3\nn_centers: 4\n")
    config = Config("LightGCN", config_file_list=[file], config_dict={"n_sampled": 64})
    assert config.unread_keys() == ["ssl_tau", "n_centers", "n_sampled"]
    config.warn_of_unread_keys()
    assert [record.message for record in caplog.records] == [
        "key 'ssl_tau' is not read by LightGCN; DCCF, SGL, SimGCL, RecBole's SGL read it",
        "key 'n_centers' is not read by LightGCN; DaRec reads it",
        "key 'n_sampled' is not read by LightGCN; DaRec reads it",
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_centers", "abc", "key 'n_centers' is 'abc'"),
        ("ssl_tau", -1.0, "key 'ssl_tau' is -1.0"),
    ],
)
def test_keys_that_nothing_reads_are_checked_all_the_same(key, value, message):
    with pytest.raises(ConfigError, match=message):
        Config("BPR", config_dict={key: value})


@pytest.mark.parametrize("model", compat.general_recommenders())
def test_every_default_of_a_recbole_model_may_be_given(model):
    file = Path(recbole.__file__).parent / "properties" / "model" / f"{model}.yaml"
    defaults = Config("Pop")._load_config_files([file] if file.is_file() else [])
    arguments = [f"--{key}={value}" for key, value in defaults.items()]
    config = Config(model, command_line=arguments)
    assert {key: config[key] for key in defaults} == defaults
    again = Config(config_dict=config.resolved())
    assert again.unread_keys() == []


@pytest.mark.parametrize("protocol", ["recbole", "rlmrec"])
@pytest.mark.parametrize(
    ("model", "backbone"),
    [("Backbone", name) for name in (*parts("backbone"), "recbole/NGCF")]
    + [(name, "LightGCN") for name in parts("alignment")],
)
def test_a_resolved_configuration_holds_what_is_read_alone(model, backbone, protocol):
    config = Config(model, config_dict={"backbone": backbone, "protocol": protocol})
    given = {key: value for key, value in config.resolved().items() if value is not None}
    again = Config(command_line=[f"--{key}={value}" for key, value in given.items()])
    assert again.resolved() == {**config.resolved(), "gpu_id": 0}


def test_general_keys_are_all_that_recbole_reads_for_any_model():
    root = Path(recbole.__file__).parent
    files = [*root.glob("data/dataset/dataset.py"), root / "data" / "utils.py"]
    files += [root / "data" / "dataloader" / f"{kind}_dataloader.py" for kind in ("abstract",
              "general", "user")]  # fmt: skip
    files += [*root.glob("evaluator/*.py"), *root.glob("quick_start/*.py")]
    text = "".join(file.read_text() for file in files)
    read = set(re.findall(r"""config\[["'](\w+)["']\]""", text))
    made_by_recbole = {"MODEL_TYPE", "MODEL_INPUT_TYPE", "device", "eval_type", "local_rank"}
    made_by_recbole |= {"single_spec", "world_size", "valid_neg_sample_args"}
    assert read - {"test_neg_sample_args"} - made_by_recbole <= general_keys()


def test_keys_of_a_recbole_model_are_those_of_its_yaml_and_its_code():
    assert recbole_model_keys("DGCF") >= {"n_factors", "train_batch_size"}
    assert recbole_model_keys("LDiffRec") >= {"n_cate", "beta_fixed", "time-aware"}
    assert recbole_model_keys("SASRec") == frozenset()


RECBOLES = [
    ("BPR", "embedding_size", 0, r"key 'embedding_size' is 0; expected an int in \[1, inf\)"),
    ("BPR", "embedding_size", "abc", "key 'embedding_size' is 'abc'"),
    ("LightGCN", "n_layers", "abc", r"key 'n_layers' is 'abc' \(str\); expected an int"),
    ("LightGCN", "n_layers", -1, "key 'n_layers' is -1"),
    ("LightGCN", "reg_weight", "abc", "key 'reg_weight' is 'abc'"),
    ("NGCF", "hidden_size_list", 64, r"key 'hidden_size_list' is 64 \(int\); expected a list"),
    ("NGCF", "node_dropout", "a", "key 'node_dropout' is 'a'"),
    ("LINE", "order", 3, "key 'order' is 3; expected one of 1, 2"),
    ("SGL", "type", "ed", "key 'type' is 'ed'; expected one of ED, ND, RW"),
    ("SGL", "drop_ratio", 1.5, r"key 'drop_ratio' is 1.5; expected a float in \[0, 1\)"),
    ("NCL", "num_clusters", 0, r"key 'num_clusters' is 0; expected an int in \[1, inf\)"),
    ("NCL", "m_step", 0, r"key 'm_step' is 0; expected an int in \[1, inf\)"),
    ("NeuMF", "mf_train", 1, r"key 'mf_train' is 1 \(int\); expected a bool"),
    ("BPR", "clip_grad_norm", 5, "key 'clip_grad_norm' is 5 .*expected a dict or empty"),
    ("BPR", "loss_decimal_place", "a", "key 'loss_decimal_place' is 'a'"),
    ("BPR", "worker", "a", "key 'worker' is 'a'"),
    ("BPR", "shuffle", 3, "key 'shuffle' is 3 .*expected a bool"),
    ("BPR", "eval_args", 5, "key 'eval_args' is 5 .*expected a dict"),
    ("BPR", "rm_dup_inter", "some", "key 'rm_dup_inter' is 'some'; expected one of first, last"),
    (
        "BPR",
        "load_col",
        {"inter": "user_id"},
        r"key 'load_col' of 'inter' is 'user_id'; expected a list .* \{'inter': \['user_id'\]\}",
    ),
    (
        "BPR",
        "load_col",
        {"item": ["item_id"]},
        r"'load_col' is \{.*\}, without columns of the interactions; add 'inter': \['user_id', 'i",
    ),
    ("BPR", "neg_sampling", None, "key 'neg_sampling' does not exist; RecBole calls it train_neg_"),
    (
        "BPR",
        "train_neg_sample_args",
        {"distribution": "uniform", "sample_num": 0},
        "key 'train_neg_sample_args: sample_num' is 0",
    ),
    ("BPR", "train_neg_sample_args", {"number": 1}, "has no 'number'.*; it holds distribution, "),
    ("BPR", "train_neg_sample_args", {"distribution": "even"}, "distribution' is 'even'; expected"),
    ("BPR", "train_neg_sample_args", {"dynamic": True}, "dynamic needs a candidate_num above 0"),
    ("BPR", "train_neg_sample_args", None, "but 'BPR' learns from pairs of a positive"),
    ("DaRec", "train_neg_sample_args", None, "but 'DaRec' learns from pairs of a positive"),
    ("DMF", "train_neg_sample_args", None, "no labels are loaded, .*, or load a column 'label'"),
    (
        "BPR",
        "transform",
        "crop_itemseq",
        "'transform' is 'crop_itemseq': RecBole's",
    ),
    ("BPR", "transform", "user_defined", "'transform' is 'user_defined': .* does nothing; leave"),
    (
        "BPR",
        "encoding",
        "utf-9",
        "key 'encoding' is 'utf-9'; expected one of Python's",
    ),
    ("BPR", "learner", "sparse_adam", "key 'learner' is 'sparse_adam'; expected one of adam, "),
    ("BPR", "clip_grad_norm", {"maxnorm": 5}, "'clip_grad_norm' has no 'maxnorm'; did you mean"),
    ("BPR", "clip_grad_norm", {"norm_type": 2}, "'clip_grad_norm': 'max_norm' is empty; expected"),
    ("BPR", "clip_grad_norm", {"max_norm": 0}, r"'max_norm' is 0.0; expected a float in \(0, inf"),
    (
        "BPR",
        "eval_args",
        {"split": {"TS": [1, 2]}},
        r"TS is \[1, 2\]; expected a list",
    ),
    (
        "BPR",
        "metrics",
        ["Recall", "RMSE"],
        r"'metrics' is .*: RMSE are of values, the others of rankings, .* leave out one of them",
    ),
    (
        "BPR",
        "metrics",
        ["Recal"],
        "'metrics': 'Recal' does not exist; did you mean 'recall'.; there",
    ),
    (
        "BPR",
        "metrics",
        ["AUC"],
        "'metrics': AUC are of values, which mode full .* to labeled, or to",
    ),
    ("BPR", "tail_ratio", "x", "key 'tail_ratio' is 'x' .str.; expected a float"),
    ("BPR", "tail_ratio", -0.5, r"key 'tail_ratio' is -0.5; expected a float in \(0, inf"),
    ("BPR", "nproc", "abc", "key 'nproc' is 'abc'"),
    ("BPR", "seq_separator", 5, "key 'seq_separator' is 5 .int.; expected a str"),
    ("BPR", "field_separator", "", "key 'field_separator' is empty; give the character between"),
    ("BPR", "NEG_PREFIX", "", "'NEG_PREFIX' is '': .* would take the name of a column, 'item_id'"),
    ("NeuMF", "LABEL_FIELD", "item_id", "'ITEM_ID_FIELD' and 'LABEL_FIELD' are both 'item_id'"),
    ("NGCF", "node_dropout", 2.0, r"key 'node_dropout' is 2.0; expected a float in \[0, 1\)"),
    ("NGCF", "message_dropout", -0.1, "key 'message_dropout' is -0.1"),
    ("BPR", "topk", "abc", r"key 'topk' is \['abc'\]; expected whole numbers above 0"),
    ("BPR", "topk", [10, 0], r"key 'topk' is \[10, 0\]"),
    ("BPR", "topk", [], r"key 'topk' is \[\]"),
    ("BPR", "topk", [10, 5, 10], r"key 'topk' is \[10, 5, 10\], which holds a value twice; give"),
    (
        "BPR",
        "metrics",
        ["MRR", "mrr"],
        r"'metrics' is \['MRR', 'mrr'\], which holds a value twice; give",
    ),
    ("DaRec", "api_key_env", "sk-12", "'api_key_env' is not the name of an env.* variable .what"),
    ("AlphaRec", "embedding_size", 0, r"'embedding_size' is 0; expected an int in \[1, 4096\]"),
    ("AlphaRec", "embedding_size", "abc", "key 'embedding_size' is 'abc'"),
    ("BPR", "metrics", [], r"key 'metrics' is \[\]; expected a list of names"),
    ("BPR", "metrics", [5], r"key 'metrics' is \[5\]"),
    ("BPR", "user_inter_num_interval", 5, r"'user_inter_num_interval' is 5; .* \"\[5,inf\)\" is 5"),
    (
        "BPR",
        "item_inter_num_interval",
        "abc",
        "'item_inter_num_interval' is 'abc'; expected an int",
    ),
    ("BPR", "user_inter_num_interval", "[9,5]", "'user_inter_num_interval' is"),
    ("BPR", "user_inter_num_interval", "[a,5]", "'user_inter_num_interval' is"),
    ("BPR", "user_inter_num_interval", "[1,2);5", "'user_inter_num_interval' is"),
    ("BPR", "val_interval", {"rating": 3}, "key 'val_interval' of 'rating' is 3; expected an int"),
    ("BPR", "val_interval", {"rating": "3,5"}, "key 'val_interval' of 'rating' is '3,5'"),
    ("BPR", "val_interval", "[3,5]", "key 'val_interval' is .*; expected a dict"),
]


@pytest.mark.parametrize(("model", "key", "value", "message"), RECBOLES)
def test_wrong_values_of_recboles_keys_are_named(model, key, value, message):
    with pytest.raises(ConfigError, match=message):
        Config(model, config_dict={key: value})


@pytest.mark.parametrize(
    ("model", "key", "text", "value"),
    [
        ("MultiVAE", "train_neg_sample_args", "None", None),
        ("SimpleX", "negative_weight", "0.5", 0.5),
        ("BPR", "topk", "5,10", [5, 10]),
        ("BPR", "metrics", "Recall,MRR", ["Recall", "MRR"]),
        ("BPR", "user_inter_num_interval", "[5,inf)", "[5,inf)"),
        ("BPR", "user_inter_num_interval", "[5,10]", "[5,10]"),
        ("BPR", "user_inter_num_interval", "[1,2);(5, 7]", "[1,2);(5, 7]"),
        ("BPR", "user_inter_num_interval", "~", None),
        ("BPR", "val_interval", "{'rating': '[3,inf)', 'item_id': ['1', '2']}", None),
        ("BPR", "load_col", "{'inter': '*'}", {"inter": "*"}),
        ("BPR", "load_col", "None", None),
        ("BPR", "weight_decay", "1", 1.0),
    ],
)
def test_sound_values_of_recboles_keys_pass(model, key, text, value):
    arguments = [f"--{key}={text}", "--valid_metric=MRR@10"]
    given = Config(model, command_line=arguments).resolved()[key]
    assert value is None or given == value


def test_the_direction_of_a_metric_is_its_own(caplog):
    config = Config("BPR", config_dict={"valid_metric_bigger": False})
    assert config["valid_metric_bigger"] is True
    assert config.resolved()["valid_metric_bigger"] is True
    assert "valid_metric_bigger False has no effect: of MRR@10 a larger value is the" in caplog.text
    caplog.clear()
    keys = {"metrics": ["RMSE"], "valid_metric": "RMSE", "eval_args": {"mode": "uni100"}}
    written = Config("BPR", config_dict=keys).resolved()
    assert written["valid_metric_bigger"] is False
    Config(config_dict=written)
    assert not caplog.text


def test_fewer_sampled_items_than_are_ranked_are_told(caplog):
    for mode, told in (
        ("uni100", False),
        ("pop10", False),
        ({"valid": "full", "test": "uni5"}, True),
    ):
        Config("BPR", config_dict={"eval_args": {"mode": mode}})
        assert ("mode uni5 of eval_args ranks 5 sampled items, fewer than" in caplog.text) is told


def test_a_dataset_of_this_package_is_asked_for_by_the_files_of_its_split(tmp_path):
    keys = {"dataset": "amazon-book-rlmrec", "data_path": str(tmp_path)}
    files = (
        "amazon-book-rlmrec.train.inter, amazon-book-rlmrec.valid.inter, amazon-book-rlmrec.test"
    )
    with pytest.raises(ConfigError, match=rf"does not exist; its files belong in .* \({files}"):
        Config(config_dict=keys)


EVAL_ARGS = [
    ({"splitt": {"RS": [8, 1, 1]}}, "'eval_args' has no 'splitt'; did you mean 'split'"),
    ({"split": "RS"}, "split is 'RS'; expected {'RS': "),
    ({"split": {"RSS": [8, 1, 1]}}, "expected {'RS': "),
    ({"split": {"RS": [8, 1, 1], "LS": "test_only"}}, "expected {'RS': "),
    ({"split": {"RS": [8, 2]}}, r"RS is \[8, 2\]; expected a list of the shares of training"),
    ({"split": {"RS": [8, -1, 1]}}, "none negative"),
    ({"split": {"RS": [0, 1, 1]}}, "the first above 0"),
    ({"split": {"RS": "8:1:1"}}, "RS is '8:1:1'"),
    ({"split": {"RS": [8, "a", 1]}}, "RS is "),
    ({"split": {"LS": "valid"}}, "LS is 'valid'; expected valid_and_test, valid_only, test_only"),
    ({"order": "XX"}, "order is 'XX'; expected RO"),
    ({"group_by": "item"}, "group_by is 'item'; expected user or none"),
    ({"group_by": "User"}, "group_by is 'User'; expected user or none"),
    ({"mode": "fulll"}, "mode is 'fulll'; expected full, uniN or popN"),
    ({"mode": "uni"}, "mode is 'uni'"),
    ({"mode": "uni0"}, "mode is 'uni0'"),
    ({"mode": {"valid": "full", "train": "full"}}, "has no 'train'; it holds valid, test"),
    ({"mode": {"valid": 5}}, "mode is 5"),
    ({"mode": "labeled"}, "mode labeled has no ranking, which Recall, MRR, NDCG, Hit, Precision"),
    ({"mode": {"valid": "pop20", "test": "labeled"}}, "use AUC, MAE, RMSE or LogLoss, or another"),
]


@pytest.mark.parametrize(("args", "message"), EVAL_ARGS)
def test_mistakes_in_eval_args_are_named(args, message):
    with pytest.raises(ConfigError, match=message):
        Config("BPR", config_dict={"eval_args": args})


@pytest.mark.parametrize("key", ["dataset_save_path", "dataloaders_save_path"])
def test_saved_data_that_do_not_exist_are_named(key):
    with pytest.raises(ConfigError, match=f"key '{key}': nowhere.pth does not exist"):
        Config("BPR", config_dict={key: "nowhere.pth", "allow_pickle": True})


def test_both_ids_have_to_be_loaded():
    keys = {"USER_ID_FIELD": "uid", "load_col": {"inter": ["user_id", "item_id"]}}
    with pytest.raises(ConfigError, match=r"without 'uid' \(USER_ID_FIELD\); add it"):
        Config("BPR", config_dict=keys)


def test_labeled_evaluation_needs_labels():
    keys = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC"], "valid_metric": "AUC"}
    with pytest.raises(ConfigError, match="mode is labeled, but load_col leaves out 'label': load"):
        Config("BPR", config_dict=keys)
    assert Config("BPR", config_dict={**keys, "threshold": {"rating": 4}})["threshold"]


def test_spellings_that_recbole_takes():
    keys = {
        "learner": "Adam", "state": "info", "clip_grad_norm": {"max_norm": 1, "norm_type": "inf"}
    }  # fmt: skip
    config = Config("BPR", config_dict=keys)
    assert (config["learner"], config["state"]) == ("adam", "INFO")
    assert Config("BPR", config_dict={"state": None})["state"] is None


def test_values_of_a_notebook(tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text("epochs: 3\n")
    given = {"seed": np.int64(3), "learning_rate": np.float32(0.5), "checkpoint_dir": tmp_path}
    config = Config("BPR", config_file_list=file, config_dict=given)
    assert (config["seed"], config["learning_rate"], config["epochs"]) == (3, 0.5, 3)
    assert config["checkpoint_dir"] == str(tmp_path)
    for cuts in ([np.int64(5)], np.array([5])):
        given = {"topk": cuts, "valid_metric": "MRR@5"}
        assert Config("BPR", config_dict=given)["topk"] == [5]


@pytest.mark.parametrize(
    "labels",
    [
        {"threshold": {"rating": 4}},
        {"load_col": None},
        {"load_col": {"inter": ["user_id", "item_id", "label"]}},
    ],
)
def test_labels_may_stand_in_the_place_of_negatives(labels):
    config = Config("DMF", config_dict={**labels, "train_neg_sample_args": None})
    assert config["train_neg_sample_args"]["distribution"] == "none"


def test_order_by_time_needs_the_time_column(small_data):
    keys = {"data_path": str(small_data), "eval_args": {"order": "TO"}}
    message = r"orders by time, but load_col leaves out 'timestamp': .*'item_id', 'timestamp'\]\}"
    with pytest.raises(ConfigError, match=message):
        Config("BPR", "small", config_dict=keys)
    columns = ["user_id", "item_id", "timestamp"]
    for sound in ({"load_col": {"inter": columns}}, {"load_col": None},
                  {"benchmark_filename": ["a", "b", "c"]}):  # fmt: skip
        assert Config("BPR", "small", config_dict={**keys, **sound})["eval_args"]["order"] == "TO"


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"split": {"LS": "valid_only"}, "order": "TO"},
        {"split": {"RS": [0.9, 0, 0.1]}, "group_by": None},
        {"group_by": "none", "mode": "uni100"},
        {"mode": {"valid": "pop50"}},
    ],
)
def test_sound_eval_args_pass(args):
    read = Config("BPR", config_dict={"eval_args": args})["eval_args"]
    assert {key: read[key] for key in args if key != "mode"} == {
        key: value for key, value in args.items() if key != "mode"
    }


@pytest.mark.parametrize(
    ("content", "message"), [("a: [1", "is not valid yaml"), ("- a\n- b\n", "'key: value' lines")]
)
def test_malformed_config_file(tmp_path, content, message):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        Config(config_file_list=[file])


def test_clipping_of_scaled_gradients_is_refused():
    """RecBole clips them before they are unscaled."""
    clip = {"max_norm": 5}
    assert Config(config_dict={"clip_grad_norm": clip})["clip_grad_norm"] == clip
    with pytest.raises(ConfigError, match="'enable_scaler' and 'clip_grad_norm' exclude each"):
        Config(config_dict={"clip_grad_norm": clip, "enable_scaler": True})


@pytest.mark.parametrize("key", ["model", "dataset"])
def test_an_empty_name_is_no_default(tmp_path, key):
    """An unset variable of a shell, or a line of yaml that was not filled in."""
    file = tmp_path / "a.yaml"
    file.write_text(f"{key}:\n")
    message = f"key '{key}' is empty: give a name, or leave the key out"
    for empty in ({key: ""}, {"config_file_list": [file]}, {"config_dict": {key: ""}}):
        with pytest.raises(ConfigError, match=message):
            Config(**empty)
    name = "Pop" if key == "model" else "ml-100k"
    assert getattr(Config(config_file_list=[file], **{key: name}), key) == name


def test_empty_config_file_changes_nothing(tmp_path):
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing\n")
    assert Config(config_file_list=[file]).resolved() == Config().resolved()


def test_device_is_chosen_without_touching_the_environment(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    config = Config(config_dict={"use_gpu": False})
    assert config["device"] == torch.device("cpu")
    assert config["use_gpu"] is False
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_paths_are_absolute_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(config_dict={"checkpoint_dir": "here"})
    assert config["checkpoint_dir"] == str(tmp_path / "here")
    assert Path(config.resolved()["data_path"]).is_absolute()


def test_resolved_configuration_makes_the_same_configuration(tmp_path):
    config = Config(config_dict={"n_layers": 2, "seed": 5, "topk": [5, 10]})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.resolved()))
    again = Config(config_file_list=[file])
    assert again.resolved() == config.resolved()
    assert again["n_layers"] == 2


def test_configurations_do_not_share_state():
    first = Config(model="BPR")
    before = {name: list(keys) for name, keys in first.parameters.items()}
    for _ in range(3):
        again = Config(model="BPR")
    assert {name: list(keys) for name, keys in again.parameters.items()} == before


def _documented_keys():
    for file in sorted(properties_dir().rglob("*.yaml")):
        if file.parent.name not in ("ablation", "dataset", "experiment", "protocol"):
            yield from ((file, key) for key in (yaml.safe_load(file.read_text()) or {}))


def test_every_key_in_the_yaml_files_is_declared():
    unknown = [(file.name, key) for file, key in _documented_keys() if key not in all_key_names()]
    assert unknown == []


def test_every_declared_key_of_a_part_stands_commented_in_its_yaml():
    for family in ("backbone", "alignment"):
        for part in parts(family).values():
            text = part.properties().read_text()
            for key in part.load().keys:
                line = [row for row in text.splitlines() if row.startswith(f"{key}:")]
                assert line, f"{key} is missing in {part.properties()}"
                assert "#" in line[0], f"{key} has no comment in {part.properties()}"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (Key(float, low=0, high=1), 1.5, "expected a float in \\[0, 1\\]"),
        (Key(float, low=0, open_low=True), 0.0, "expected a float in \\(0, inf\\)"),
        (Key(float), float("nan"), "is nan"),
        (Key(int), True, "expected an int"),
        (Key(bool), 1, "expected a bool"),
        (Key(str, choices=("a", "b")), "c", "expected one of a, b"),
        (Key(str), None, "is empty"),
    ],
)
def test_key_refuses(key, value, message):
    with pytest.raises(ConfigError, match=f"key 'k' .*{message}"):
        key.check("k", value)


def test_key_accepts_what_it_declares():
    assert Key(float).check("k", 1) == 1.0
    assert Key(str, optional=True).check("k", None) is None
    assert Key(list).check("k", (1, 2)) == [1, 2]


def test_a_local_encoder_is_found_from_any_folder(tmp_path, monkeypatch):
    """Trials on Ray and runs that are loaded work elsewhere."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    config = Config("DaRec", config_dict={"text_encoder": "models/mine"})
    assert config["text_encoder"] == str(tmp_path / "models" / "mine")
    assert config.resolved()["text_encoder"] == config["text_encoder"]
    assert Config("DaRec", config_dict={"text_encoder": "on/hub"})["text_encoder"] == "on/hub"
