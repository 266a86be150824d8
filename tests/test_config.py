"""Configuration: precedence, strictness, device, paths."""

import os
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbole_darec.config import Config, _literal
from recbole_darec.keys import ConfigError, Key
from recbole_darec.known_keys import all_key_names
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
    assert _literal(text) == value
    assert Config(config_dict={"transform": text})["transform"] == value


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
    assert _literal(repr(value)) == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "LigthGCN"}, "model 'LigthGCN' does not exist; did you mean 'LightGCN'"),
        ({"model": "darec"}, "did you mean 'DaRec'"),
        (
            {"model": "SASRec"},
            "model 'SASRec' is one of RecBole's sequential recommenders; ours and",
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
        ({"config_dict": {"metrics": ["Recal"]}}, "There is no metric named 'Recal'"),
        ({"config_dict": {"gpu_id": "0", "nproc": 2}}, "several processes is not supported"),
        ({"config_dict": {"dataset_save_path": "x.pth"}}, "allow_pickle"),
        ({"config_file_list": ["absent.yaml"]}, "config file absent.yaml cannot be read"),
    ],
)
def test_mistakes_are_named_with_the_remedy(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Config(**arguments)


@pytest.mark.parametrize(
    ("content", "message"), [("a: [1", "is not valid yaml"), ("- a\n- b\n", "'key: value' lines")]
)
def test_malformed_config_file(tmp_path, content, message):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        Config(config_file_list=[file])


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
    with pytest.raises(ConfigError, match=f"key 'k' .*{message}|{message}"):
        key.check("k", value)


def test_key_accepts_what_it_declares():
    assert Key(float).check("k", 1) == 1.0
    assert Key(str, optional=True).check("k", None) is None
    assert Key(list).check("k", (1, 2)) == [1, 2]
