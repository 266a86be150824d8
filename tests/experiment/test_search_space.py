"""Search spaces: RecBole's syntax, its exponents, files and mistakes."""

import math

import pytest

from recbole_darec.experiment.search_space import (
    Dimension,
    chosen_space,
    declared_space,
    parse_space,
    read_space,
)
from recbole_darec.keys import ConfigError
from recbole_darec.registry import FAMILIES, parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("choice [0.1, 1]", Dimension("choice", (0.1, 1))),
        ("choice ['[64]','[64, 32]', 'mean']", Dimension("choice", ([64], [64, 32], "mean"))),
        ("uniform 0.1,0.5", Dimension("uniform", (0.1, 0.5))),
        ("quniform 16,128,16", Dimension("quniform", (16, 128, 16))),
        ("loguniform -8,0", Dimension("loguniform", (-8, 0))),
    ],
)
def test_syntax(text, expected):
    assert Dimension.parse("k", text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("choice []", "space of 'k' is empty: it has no choice"),
        ("choice 3", "search space of 'k' is 'choice 3'; expected 'choice"),
        ("uniform 1", "expected 'choice"),
        ("uniform 2,1", "space of 'k' is empty: 'uniform 2,1'"),
        ("quniform 1,2,0", "is empty"),
        ("quniform 1,10,3", "'quniform 1,10,3'; its bounds are no multiples of its step"),
        ("loguniform -5,1000", "'loguniform -5,1000'; its bounds are logarithms"),
        ("normal 0,1", "expected 'choice"),
        ("choice [none, whiten]", r"expected 'choice \[a, b, \.\.\.\]' \(names in quotes\)"),
        ("choice [__import__('os')]", "expected 'choice"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ConfigError, match=message):
        Dimension.parse("k", text)


def test_loguniform_bounds_are_natural_logarithms_as_in_recbole():
    dimension = Dimension.parse("learning_rate", "loguniform -8,0")
    assert dimension.bounds == (math.exp(-8), 1.0)
    domain = dimension.domain(grid=False)
    samples = [domain.sample() for _ in range(300)]
    assert all(math.exp(-8) <= sample <= 1 for sample in samples)
    middle = sum(sample < math.exp(-4) for sample in samples)
    assert 100 < middle < 200


def test_whole_steps_give_whole_numbers():
    dimension = Dimension.parse("embedding_size", "quniform 16,128,16")
    value = dimension.plain(dimension.domain(grid=False).sample())
    assert isinstance(value, int)
    assert value % 16 == 0
    assert Dimension.parse("k", "quniform 0,1,0.25").plain(0.25) == 0.25


def test_values_that_left_the_space_come_back():
    assert Dimension.parse("k", "uniform 0,0.5").nearest(0.6) == 0.5
    assert Dimension.parse("k", "loguniform -8,0").nearest(1e-9) == math.exp(-8)
    assert Dimension.parse("k", "quniform 16,128,16").nearest(60.0) == 64
    assert Dimension.parse("k", "quniform 16,128,16").nearest(153.6) == 128
    assert Dimension.parse("k", "choice [None, 3]").nearest(None) is None


def test_a_grid_has_every_choice_and_no_continuum():
    assert Dimension.parse("k", "choice [1, 2]").domain(grid=True) == {"grid_search": [1, 2]}
    with pytest.raises(ConfigError, match="a grid needs choices, not 'uniform'"):
        Dimension.parse("k", "uniform 0,1").domain(grid=True)


def test_declared_by_the_parts():
    space = declared_space("DaRec", "LightGCN")
    assert {"alignment_weight", "n_centers", "n_sampled", "n_layers"} <= space.keys()
    assert "n_centers" not in declared_space("Backbone", "LightGCN")
    assert {"learning_rate", "infonce_tau"} <= declared_space("AlphaRec", None).keys()
    assert declared_space("BPR", None) == {}
    with pytest.raises(ConfigError, match="the search space is empty"):
        parse_space(declared_space("BPR", None))


def test_recboles_models_as_backbones_are_searched_over_what_the_adapter_declares():
    adapted = declared_space("Backbone", "recbole/NGCF")
    assert "learning_rate" in parse_space(adapted)
    with_alignment = declared_space("DaRec", "recbole/NGCF")
    assert adapted.items() <= with_alignment.items()
    assert "n_centers" in with_alignment


@pytest.mark.parametrize("family", FAMILIES)
def test_every_declared_space_is_well_formed_and_admissible(family):
    for part in parts(family).values():
        declared = part.load()
        for key, text in declared.search_space.items():
            for value in Dimension.parse(key, text).corners():
                if key in declared.keys:
                    declared.keys[key].check(key, value)


def test_files_of_both_kinds(tmp_path):
    recboles = tmp_path / "hyper.test"
    recboles.write_text("learning_rate loguniform -8,0\n\n# more\nn_layers choice [1,2]\n")
    ours = tmp_path / "space.yaml"
    ours.write_text("learning_rate: loguniform -8,0\nn_layers: choice [1,2]\nreg_weight: ~\n")
    found = read_space(recboles)
    assert found == {"learning_rate": "loguniform -8,0", "n_layers": "choice [1,2]"}
    assert read_space(ours) == {**found, "reg_weight": None}
    assert "reg_weight" not in parse_space(read_space(ours))


def test_a_key_that_stands_twice_is_named(tmp_path):
    (tmp_path / "hyper.test").write_text("a choice [1]\na choice [2]\n")
    with pytest.raises(ConfigError, match=r"line 2 of .*hyper\.test: 'a' stands there already"):
        read_space(tmp_path / "hyper.test")


def test_a_yaml_changes_the_declared_space_and_hyper_test_replaces_it(tmp_path):
    declared = {"a": "choice [1]", "b": "choice [2]"}
    (tmp_path / "s.yaml").write_text("b: uniform 0,1\na: ~\n")
    (tmp_path / "hyper.test").write_text("c choice [3]\n")
    changed = chosen_space(declared, tmp_path / "s.yaml")
    assert changed == {"a": None, "b": "uniform 0,1"}
    assert list(parse_space(changed)) == ["b"]
    assert chosen_space(declared, tmp_path / "hyper.test") == {"c": "choice [3]"}
    assert chosen_space(declared, None) == declared


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "- x", "must hold 'key: value' lines"),
        ("a.yaml", "a: [", "is not valid yaml"),
        ("hyper.test", "n_layers", "line 1 of .* is 'n_layers'"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_space(tmp_path / name)
    with pytest.raises(ConfigError, match="search space .* cannot be read"):
        read_space(tmp_path / "absent")


def test_a_file_that_is_no_text_is_named_with_its_line(tmp_path):
    for name in ("a.yaml", "hyper.test"):
        (tmp_path / name).write_bytes(b"a: choice [1]\nb: choice ['\xe9']\n")
        with pytest.raises(ConfigError, match=rf"search space .*{name} cannot be read: line 2 is"):
            read_space(tmp_path / name)
