"""``ablate``: what a yaml means, gains by hand, and one ablation from yaml to figures."""

import numpy as np
import pandas as pd
import pytest
from commanded import command
from matplotlib.figure import Figure
from scipy import stats

from recbole_darec.config import Config
from recbole_darec.experiment import ablate_command, ablation_figures
from recbole_darec.experiment.ablation import Ablation, Member
from recbole_darec.experiment.gains import gain_table, gains_as_latex, gains_as_markdown
from recbole_darec.experiment.plan import make_plan
from recbole_darec.experiment.variant import Variant
from recbole_darec.keys import ConfigError
from recbole_darec.paths import properties_dir

SUPPLIED = sorted(path.stem for path in (properties_dir() / "ablation").glob("*.yaml"))


@pytest.fixture
def described(tmp_path):
    def write(text):
        (tmp_path / "mine.yaml").write_text(text)
        return str(tmp_path / "mine.yaml")

    return write


def test_every_variant_has_its_base_and_its_placebos(described):
    ablation = Ablation.read(
        described(
            "model: DaRec\n"
            "variants:\n"
            "  full: {}\n"
            "  on MF: {backbone: MF, n_centers: 2}\n"
            "curves:\n"
            "  alignment_weight: [0.1, 1]\n"
            "placebos: [shuffle]\n"
        )
    )
    assert [member.label for member in ablation.members()] == [
        "full", "on MF", "alignment_weight=0.1", "alignment_weight=1",
    ]  # fmt: skip
    assert ablation.members()[3].curve == ("alignment_weight", 1)
    runs = {run.label: (run.model, dict(run.options)) for run in ablation.runs()}
    assert runs["Backbone"] == ("Backbone", {})
    assert runs["Backbone backbone=MF"] == ("Backbone", {"backbone": "MF"})
    assert runs["on MF"] == ("DaRec", {"backbone": "MF", "n_centers": 2})
    placebo = {"backbone": "MF", "n_centers": 2, "embedding_placebo": "shuffle"}
    assert runs["on MF [shuffle]"] == ("DaRec", placebo)
    assert len(runs) == 2 + 4 + 4


@pytest.mark.parametrize("name", SUPPLIED)
def test_the_supplied_ones_are_admissible(name, settings, monkeypatch):
    """All their keys and values pass the configuration; encoders need not be here."""
    ablation = Ablation.read(name)
    known = [f"--{k}={v}" for k, v in settings.items() if k not in ("checkpoint_dir", "n_centers")]
    variants = ablation.runs()
    if name == "encoders":
        variants = [
            Variant(v.label, v.model, _without(v.options, "text_encoder")) for v in variants
        ]
    runs = make_plan(variants, ["small"], "1", command_line=known)
    assert len(runs) == len(variants)


def _without(options, key):
    return {k: v for k, v in options.items() if k != key}


@pytest.mark.parametrize("name", SUPPLIED)
def test_supplied_curves_pass_through_the_default(name, settings):
    ablation = Ablation.read(name)
    config = Config(ablation.model, "ml-100k")
    for key, values in ablation.curves.items():
        assert config[key] in values, key


def test_the_four_losses_are_removed_and_alone():
    weights = ("or_weight", "uni_weight", "glo_weight", "loc_weight")
    members = Ablation.read("losses").members()
    zeros = [{k for k, v in m.variant.options.items() if v == 0} for m in members]
    assert zeros == [set(), *({w} for w in weights), *(set(weights) - {w} for w in weights)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: LightGCN\nvariants: {a: {}}", "model 'LightGCN' is no alignment"),
        ("variants: {a: {}}", "must hold model"),
        ("model: DaRec\nvariant: {a: {}}", "has 'variant', which is none of model, variants"),
        ("model: DaRec", "has neither variants nor curves"),
        ("model: DaRec\nvariants: [a]", "variants must be 'name: {key: value}'"),
        ("model: DaRec\ncurves: {n_centers: 3}", "curves must be 'key: \\[value"),
        ("model: DaRec\nvariants: {a: {}}\nplacebos: [sugar]", "placebo 'sugar' is none of"),
        ("model: DaRec\nvariants: {Backbone: {}}", "two of its runs are called 'Backbone'"),
        (
            "model: DaRec\nvariants: {n_centers=2: {}}\ncurves: {n_centers: [2]}",
            "two of its runs are called 'n_centers=2'",
        ),
        ("model: DaRec\ncurves: {n_centers: [2, 2]}", "two of its runs are called 'n_centers=2'"),
        (
            "model: DaRec\nvariants: {a: {}, 'a [shuffle]': {}}\nplacebos: [shuffle]",
            "two of its runs are called 'a \\[shuffle\\]'",
        ),
        ("model: DaRec\nvariants: {a: {}}\nplacebos: shuffle", "placebos must be a list"),
        ("model: DaRec\nvariants: {on: {}}", "the name True is not a text; put it in quotes"),
        ("model: DaRec\nvariants: {a: {1: 2}}", "the name 1 is not a text; put it in quotes"),
        ("model: DaRec\ncurves: {0.5: [1]}", "the name 0.5 is not a text; put it in quotes"),
        ("a: [", "is not valid yaml"),
    ],
)
def test_bad_yaml(described, text, message):
    with pytest.raises(ConfigError, match=message):
        Ablation.read(described(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", [2020]), ("seeds: 2", [2020, 2021]), ("seeds: [7, 3]", [7, 3]), ("seeds: [7]", [7])],
)
def test_seeds_as_a_number_or_a_list(described, settings, text, expected):
    ablation = Ablation.read(described(f"model: DaRec\nvariants: {{a: {{}}}}\n{text}\n"))
    known = [f"--{k}={value}" for k, value in settings.items() if k != "checkpoint_dir"]
    (variant,) = [variant for variant in ablation.runs() if variant.model == "DaRec"]
    runs = make_plan([variant], ["small"], ablation.seeds_as_given, command_line=known)
    assert [run.seed for run in runs] == expected


def test_the_model_stands_in_the_yaml_alone(keys, tmp_path):
    given = ["losses", "--dataset", "small", "--output", tmp_path / "o", *keys, "--model=KAR"]
    with pytest.raises(ConfigError, match="key 'model' cannot be set here: .* and ablate from the"):
        command(ablate_command, *given)
    assert not (tmp_path / "o").exists()


def test_unknown_names_and_keys(keys, tmp_path, described):
    with pytest.raises(ConfigError, match="ablation 'loses' does not exist; .*losses"):
        Ablation.read("loses")
    file = described("model: DaRec\nvariants: {a: {n_center: 3}}")
    with pytest.raises(ConfigError, match="on small: key 'n_center' does not exist; .*'n_centers'"):
        command(ablate_command, file, "--dataset", "small", "--output", tmp_path / "o", *keys)


def users(model, mean, seed=0):
    """Values of 200 users about a mean, as ``user_table`` has them."""
    values = np.random.default_rng(seed).normal(0, 0.01, 200) + mean
    return pd.DataFrame(
        {
            "dataset": "d", "model": model, "seed": 1, "grouping": "all", "group": "all",
            "user_id": [f"u{i:03}" for i in range(200)], "recall@10": values,
        }
    )  # fmt: skip


def test_gains_and_placebo_gains_by_hand():
    """Base 0.1, placebo 0.15, aligned 0.2: gain 0.1, placebo gain 0.05, difference 0.05."""
    means = {"Backbone": 0.1, "full": 0.2, "full [shuffle]": 0.15, "less": 0.16}
    table = pd.concat([users(name, mean, i) for i, (name, mean) in enumerate(means.items())])
    members = [
        Member(Variant("full", "DaRec"), "Backbone", {"shuffle": "full [shuffle]"}),
        Member(Variant("less", "DaRec"), "Backbone", {"shuffle": "less [shuffle]"}),
        Member(Variant("failed", "DaRec"), "Backbone", {}),
    ]
    gains = gain_table(table, members).set_index("variant")
    full, less = gains.loc["full"], gains.loc["less"]
    assert full["gain"] == pytest.approx(0.1, abs=0.003)
    assert full["shuffle_gain"] == pytest.approx(0.05, abs=0.003)
    assert full["shuffle_difference"] == pytest.approx(full["gain"] - full["shuffle_gain"])
    values = {m: part["recall@10"].to_numpy() for m, part in table.groupby("model")}
    difference = np.round(values["full"] - values["full [shuffle]"], 12)
    expected = stats.wilcoxon(difference, alternative="greater").pvalue
    assert full["shuffle_difference_p"] == pytest.approx(expected)
    assert np.isnan(full["reference_advantage"])
    assert less["reference_advantage"] == pytest.approx(full["mean"] - less["mean"])
    assert less["reference_advantage_p"] < 1e-6
    assert np.isnan(less["shuffle_gain"])
    assert "failed" not in gains.index
    text = gains_as_markdown(gains.reset_index(), ["shuffle"])
    assert f"{full['shuffle_difference']:+.4f}" in text
    assert "gain - shuffle gain" in gains_as_latex(gains.reset_index(), ["shuffle"])


def test_gains_of_what_finished_where_something_else_did_not():
    """On dataset e, the reference and a placebo have no run; in all, no other becomes reference."""
    means = {"Backbone": 0.1, "first": 0.2, "second": 0.15, "second [shuffle]": 0.12}
    table = pd.concat([users(name, mean, i) for i, (name, mean) in enumerate(means.items())])
    other = table[table["model"].isin(["Backbone", "second"])].assign(dataset="e")
    members = [
        Member(Variant("first", "DaRec"), "Backbone", {}),
        Member(Variant("second", "DaRec"), "Backbone", {"shuffle": "second [shuffle]"}),
    ]
    gains = gain_table(pd.concat([table, other]), members).set_index(["dataset", "variant"])
    assert gains.loc[("e", "second"), "gain"] == pytest.approx(0.05, abs=0.003)
    assert np.isnan(gains.loc[("e", "second"), "shuffle_gain"])
    assert np.isnan(gains.loc[("e", "second"), "reference_advantage"])
    assert gains.loc[("d", "second"), "shuffle_difference"] == pytest.approx(0.03, abs=0.003)
    assert "reference_advantage" not in gain_table(other, members)


@pytest.mark.parametrize(
    ("choices", "shown"),
    [
        (["hungarian", "greedy"], ["hungarian", "greedy"]),
        ([None, 64], ["None", "64"]),
        ([[64], [64, 32]], ["[64]", "[64, 32]"]),
        ([8, 2], [2.0, 8.0]),
    ],
)
def test_curves_over_names_lists_and_nothing(tmp_path, choices, shown):
    table = pd.concat([users("Backbone", 0.1), *(users(str(v), 0.2, i)
                       for i, v in enumerate(choices, 1))])  # fmt: skip
    members = [Member(Variant(str(v), "DaRec"), "Backbone", {}, ("key", v)) for v in choices]
    points = gain_table(table, members)
    assert list(points["value"]) == choices
    figure = Figure()
    ablation_figures._draw_panel(figure.subplots(), points, [])
    line = figure.axes[0].get_lines()[0]
    if isinstance(shown[0], str):
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == shown
    else:
        assert list(line.get_xdata()) == shown
    ablation_figures.draw_curve(points, [], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_placebo_that_does_as_well_leaves_nothing():
    table = pd.concat([users("Backbone", 0.1), users("full", 0.2), users("full [shuffle]", 0.2)])
    member = Member(Variant("full", "DaRec"), "Backbone", {"shuffle": "full [shuffle]"})
    (row,) = gain_table(table, [member]).to_dict("records")
    assert row["gain_p"] < 1e-6
    assert row["shuffle_difference"] == 0
    assert row["shuffle_difference_p"] == 1


def test_an_ablation_from_yaml_to_figures(keys, tmp_path, described, capsys):
    file = described(
        "model: DaRec\n"
        "variants:\n"
        "  full: {alignment_weight: 1.0}\n"
        "  without uni: {alignment_weight: 1.0, uni_weight: 0.0}\n"
        "curves:\n"
        "  alignment_weight: [0.01, 1.0]\n"
        "placebos: [shuffle]\n"
    )
    keys = [key for key in keys if not key.startswith("--epochs")]
    arguments = [file, "--dataset", "small", "--output", tmp_path / "o", *keys, "--epochs=1"]
    assert command(ablate_command, *arguments, "--saved") == 0
    gains = pd.read_csv(tmp_path / "o" / "gains.csv")
    assert set(gains["variant"]) == {
        "full", "without uni", "alignment_weight=0.01", "alignment_weight=1.0",
    }  # fmt: skip
    runs = pd.read_csv(tmp_path / "o" / "runs.csv").set_index("label")
    assert len(list(tmp_path.glob("o/runs/*/*/model.pth"))) == len(runs)
    row = gains[(gains["variant"] == "full") & (gains["metric"] == "ndcg@10")].iloc[0]
    gain = runs.loc["full", "ndcg@10"] - runs.loc["Backbone", "ndcg@10"]
    assert row["gain"] == pytest.approx(gain, abs=1.1e-4)
    left = runs.loc["full", "ndcg@10"] - runs.loc["full [shuffle]", "ndcg@10"]
    assert row["shuffle_difference"] == pytest.approx(left, abs=1.1e-4)
    same = gains[gains["variant"] == "alignment_weight=1.0"].set_index("metric")["gain"]
    assert same.equals(gains[gains["variant"] == "full"].set_index("metric")["gain"])
    curves = pd.read_csv(tmp_path / "o" / "curves.csv")
    assert sorted(curves["value"].unique()) == [0.01, 1.0]
    for name in ("gains-small.png", "curve-small-alignment_weight.png"):
        assert (tmp_path / "o" / name).read_bytes().startswith(b"\x89PNG")
    assert "gain - shuffle gain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: DaRec\nseeds: \xff\n", "ablation .* cannot be read: line 2 is not UTF-8"),
        (b"model: DaRec\nseeds: 2020-13-01\n", "ablation .* is not valid yaml: line 2: month"),
        (b"model: [DaRec]\nvariants: {a: {}}\n", "model .* is no alignment method"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, content, message):
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Ablation.read(str(tmp_path / "mine.yaml"))
