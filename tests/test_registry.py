"""Parts of other packages: sound ones are found, broken ones are named and stop no other model."""

import textwrap

import pytest

from recbole_darec import known_keys
from recbole_darec.config import Config
from recbole_darec.keys import ConfigError
from recbole_darec.registry import Part, parts
from recbole_darec.run_folder import RunFolder

SOUND = """
from recbole_darec.alignment.base import Alignment
from recbole_darec.keys import Key

class Mine(Alignment):
    keys = {"mine_weight": Key(float, low=0)}
"""
OTHER = """
from recbole_darec.backbone.mf import MF

class Other(MF):
    keys = {}
"""
CACHES = (parts, known_keys.part_keys, known_keys.declared_keys, known_keys.all_key_names)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install(package, name, target, family, **files)``: as pip leaves a package with a part."""

    def install(package, name, target, family="alignment", **files):
        site = tmp_path / package
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        group = f"recbole_darec.{family}s"
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
        for module, text in files.items():
            (site / f"{module}.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(site)
        for cached in CACHES:
            cached.cache_clear()
        return site

    yield install
    monkeypatch.undo()
    for cached in CACHES:
        cached.cache_clear()


def test_a_sound_part_is_found_with_its_keys_and_its_yaml(install):
    site = install("sound", "Mine", "sound_mine:Mine", sound_mine=SOUND)
    (site / "Mine.yaml").write_text("mine_weight: 1.0\n")
    part = parts("alignment")["Mine"]
    assert part == Part("alignment", "Mine", "sound_mine:Mine", "sound")
    assert part.load().__module__ == "sound_mine"
    assert part.properties() == site / "Mine.yaml"
    assert known_keys.part_keys()["mine_weight"].low == 0


@pytest.mark.parametrize(
    ("name", "model", "keys"), [("ENMF", "DaRec", {"score": "concat"}), ("SimpleX", "KAR", {})]
)
def test_a_backbone_that_has_the_name_of_one_of_recboles_is_another(install, name, model, keys):
    module = f"others_{name}"
    site = install("others", name, f"{module}:Other", "backbone", **{module: OTHER})
    (site / f"{name}.yaml").write_text("")
    assert Config(model, config_dict=keys | {"backbone": name})["backbone"] == name
    with pytest.raises(ConfigError, match=f"backbone 'recbole/{name}' does not"):
        Config(model, config_dict=keys | {"backbone": f"recbole/{name}"})


def test_a_part_that_needs_a_package_when_it_is_built(install, run):
    wanting = SOUND + "    forward = None\n    def __init__(self, *_): import no_such_package\n"
    site = install("wanting", "Mine", "wanting_mine:Mine", wanting_mine=wanting)
    (site / "Mine.yaml").write_text("mine_weight: 1.0\n")
    with pytest.raises(ConfigError, match="model 'Mine' needs the package 'no_such_package': pip"):
        run("Mine")


@pytest.mark.parametrize("family", ["backbone", "alignment", "standalone"])
def test_our_parts_and_the_adapter_belong_to_no_other_package(family):
    ours = [part for part in parts(family).values() if part.target.startswith("recbole_darec.")]
    assert ours
    assert all(part.package is None for part in ours)


@pytest.mark.parametrize(
    ("target", "files", "why"),
    [
        ("absent.mine:Mine", {}, "ModuleNotFoundError: No module named 'absent'"),
        ("broken_a:Mine", {"broken_a": "import absent"}, "No module named 'absent'"),
        ("broken_b:Mine", {"broken_b": ""}, "module 'broken_b' has no attribute 'Mine'"),
        ("broken_c:Mine", {"broken_c": "class Mine:"}, "IndentationError: expected an indented"),
        ("broken_d:Mine", {"broken_d": "raise OSError('no driver')"}, "OSError: no driver"),
        ("broken_e:Mine", {"broken_e": "class Mine: pass"}, "'Mine' has no attribute 'keys'"),
        (
            "broken_f:Mine",
            {"broken_f": SOUND + "    term_weights = {'mine': 'mine_weight'}\n"},
            "term_weights need a key 'alignment_weight', which is not in its 'keys'",
        ),
        (
            "broken_g:Mine",
            {
                "broken_g": SOUND.replace("mine_w", "alignment_w")
                + "    term_weights = {'a': 'b'}\n"
            },
            "term_weights need a key 'b', which is not in its 'keys'",
        ),
    ],
)
def test_a_broken_part_is_named_with_its_package_and_target(install, target, files, why):
    install("careless", "Mine", target, **files)
    said = rf"alignment 'Mine' of package 'careless' cannot be loaded from '{target}': .*{why}"
    for use in (Part.load, Part.properties):
        with pytest.raises(ConfigError, match=said):
            use(parts("alignment")["Mine"])


def test_a_broken_part_is_left_out_of_the_keys_with_one_warning(install, caplog):
    before = known_keys.declared_keys()
    install("careless", "Mine", "absent:Mine")
    assert known_keys.declared_keys() == before
    assert known_keys.all_key_names() >= before.keys()
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith("left out: alignment 'Mine' of package 'careless' cannot be loaded")


def test_a_broken_part_stops_no_other_model(install):
    install("careless", "Mine", "absent:Mine")
    for protocol in ("recbole", "rlmrec"):
        assert Config("BPR", config_dict={"protocol": protocol})["embedding_size"] > 0
    assert Config("DaRec")["alignment_weight"] > 0
    with pytest.raises(ConfigError, match="'Mine' of package 'careless' cannot be loaded"):
        Config("Mine")


TWO_TERMS = """
from recbole_darec.alignment.base import Alignment
from recbole_darec.keys import Key

class Mine(Alignment):
    keys = dict.fromkeys(("alignment_weight", "a_weight", "b_weight"), Key(float, low=0))
    term_weights = {"FIRST": "a_weight", "b": "b_weight"}

    def forward(self, output, batch, active):
        return {name: output.items.square().mean() for name in TERMS}
"""


@pytest.fixture
def two_terms(install, run):
    """Results of a run of an alignment with two terms, ``first`` and ``b``."""

    def two_terms(package, first, returned, reduced="mean()", **keys):
        module = f"{package}_mine"
        text = (
            TWO_TERMS.replace("mean()", reduced)
            .replace("FIRST", first)
            .replace("TERMS", repr(returned))
        )
        site = install(package, "Mine", f"{module}:Mine", **{module: text})
        weights = ("alignment_weight", "a_weight", "b_weight")
        (site / "Mine.yaml").write_text("".join(f"{name}: 1.0\n" for name in weights))
        folder = run("Mine", backbone="MF", epochs=1, **keys)["run_folder"]
        return RunFolder.open(folder).read_metrics()["train_losses"][0]

    return two_terms


def test_both_terms_are_trained_and_logged(two_terms):
    losses = two_terms("both", "a", ("a", "b"))
    assert losses.keys() == {"bpr", "reg", "a", "b"}
    assert losses["a"] > 0


def test_a_term_of_weight_zero_may_be_returned_all_the_same(two_terms):
    assert two_terms("one", "a", ("a", "b"), b_weight=0).keys() == {"bpr", "reg", "a"}


def test_a_term_with_the_name_of_the_backbones_is_refused(two_terms):
    with pytest.raises(ConfigError, match="'Mine' and the backbone both have a term 'reg'"):
        two_terms("clash", "reg", ("reg", "b"))


def test_a_term_that_is_declared_but_not_returned_is_named(two_terms):
    with pytest.raises(ConfigError, match="'Mine' declares a term 'b' .* forward .*: that has a$"):
        two_terms("lacking", "a", ("a",))


def test_a_part_without_defaults_is_told_where_they_belong(install):
    site = install("bare", "Mine", "bare_mine:Mine", bare_mine=SOUND)
    said = "alignment 'Mine' of package 'bare' has no defaults: expected "
    with pytest.raises(ConfigError, match=said) as error:
        Config("Mine")
    assert f"{site / 'Mine.yaml'} (declare it as package data)" in str(error.value)


def test_a_name_of_ours_is_not_taken_silently(install, caplog):
    install("proud", "DaRec", "proud_mine:Mine")
    assert parts("alignment")["DaRec"].package is None
    assert caplog.messages == [
        "alignment 'DaRec' of package 'proud' is left out, for there is alignment 'DaRec' of "
        "package 'recbole-darec'; rename its entry point"
    ]


@pytest.mark.parametrize(
    ("name", "family"), [("BPR", "alignment"), ("Backbone", "alignment"), ("BPR", "standalone")]
)
def test_a_name_of_recbole_s_is_not_taken_silently(install, caplog, name, family):
    install("proud", name, "proud_mine:Mine", family)
    assert name not in parts(family)
    assert caplog.messages == [
        f"{family} '{name}' of package 'proud' is left out, for there is a model of that name; "
        "rename it"
    ]


def test_a_backbone_may_have_the_name_of_recbole_s(install, caplog):
    install("sound", "NGCF", "sound_mine:Mine", "backbone")
    assert parts("backbone")["NGCF"].package == "sound"
    assert not caplog.messages


def test_a_name_of_two_packages_is_not_taken_silently(install, caplog):
    install("early", "Mine", "early_mine:Mine")
    install("late", "Mine", "late_mine:Mine")
    kept = parts("alignment")["Mine"].package
    left = ({"early", "late"} - {kept}).pop()
    assert caplog.messages == [
        f"alignment 'Mine' of package '{left}' is left out, for there is alignment 'Mine' of "
        f"package '{kept}'; rename its entry point"
    ]


def test_a_model_that_declares_nothing_is_sound(install):
    text = """
        from recbole_darec.model.representation_recommender import RepresentationRecommender

        class Plain(RepresentationRecommender):
            def forward(self): ...
            def loss_terms(self, interaction): ...
    """
    site = install("plain", "Plain", "plain_model:Plain", "standalone", plain_model=text)
    (site / "Plain.yaml").write_text("embedding_size: 8\n")
    assert Config("Plain")["embedding_size"] == 8
    assert Config("BPR")["embedding_size"] == 64


def test_a_name_with_a_slash_is_left_out(install, caplog):
    install("slashed", "recbole/XX", "slashed_mine:Mine", "backbone")
    assert "recbole/XX" not in parts("backbone")
    assert caplog.messages == [
        "backbone 'recbole/XX' of package 'slashed' is left out, for '/' is not for names; "
        "rename it"
    ]


LAYERED = SOUND.replace("mine_weight", "n_layers")


@pytest.mark.parametrize("backbone", ["LightGCN", "recbole/LightGCN"])
def test_a_key_of_two_parts_is_refused(install, backbone):
    site = install("layered", "Mine", "layered_mine:Mine", layered_mine=LAYERED)
    (site / "Mine.yaml").write_text("n_layers: 1\n")
    said = f"alignment 'Mine' of package 'layered' and backbone '{backbone}' .* a key 'n_layers'"
    with pytest.raises(ConfigError, match=said):
        Config("Mine", config_dict={"backbone": backbone})
    assert Config("Mine", config_dict={"backbone": "MF"})["n_layers"] == 1


def test_a_key_without_a_default_is_named_with_its_file(install):
    site = install("forgetful", "Mine", "forgetful_mine:Mine", forgetful_mine=SOUND)
    (site / "Mine.yaml").write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match="declares a key 'mine_weight' that has no default") as e:
        Config("Mine")
    assert str(site / "Mine.yaml") in str(e.value)
    assert Config("Mine", config_dict={"mine_weight": 2})["mine_weight"] == 2


def test_a_term_that_is_no_scalar_is_refused(two_terms):
    with pytest.raises(ConfigError, match=r"term 'a' of the loss has shape \(91,\); .* scalar"):
        two_terms("vectors", "a", ("a", "b"), reduced="mean(1)")


OTHER_KINDS = """
from recbole_darec.backbone.mf import MF
from recbole_darec.keys import Key

class OtherKinds(MF):
    keys = {**MF.keys, "topk": Key(str)}
"""


def test_a_part_cannot_give_a_known_key_another_type(install, caplog):
    """Every other model's ``--topk`` would be read as it says."""
    module = {"other_kinds": OTHER_KINDS}
    site = install("kinds", "OtherKinds", "other_kinds:OtherKinds", "backbone", **module)
    (site / "OtherKinds.yaml").write_text("topk: '10'\n")
    said = "'OtherKinds' of package 'kinds' declares key 'topk' as a str, which elsewhere is a list"
    assert Config("Backbone", command_line=["--topk=[5,10]"])["topk"] == [5, 10]
    assert f"left out: backbone {said}" in caplog.text
    with pytest.raises(ConfigError, match=said):
        Config("Backbone", config_dict={"backbone": "OtherKinds"})
