"""What every backbone promises together with every alignment, and what every part has."""

import ast
import copy
import itertools
import operator
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import init_seed

from recbole_darec import checkpoint, compat
from recbole_darec import graph as graph_module
from recbole_darec.alignment.concatenation import completed
from recbole_darec.backbone.recbole_models import SCORING_OTHERWISE, SERVING
from recbole_darec.config import BARE, Config
from recbole_darec.data.dataset import SideEmbeddingDataset
from recbole_darec.keys import ConfigError, Key
from recbole_darec.model.aligned_recommender import AlignedRecommender
from recbole_darec.quick_start import build_model
from recbole_darec.registry import FAMILIES, parts

ADAPTED = [f"recbole/{name}" for name in SERVING]
ROOT = Path(__file__).parents[1]


def own(family):
    return sorted(p.name for p in parts(family).values() if p.target.startswith("recbole_darec."))


BACKBONES = [*own("backbone"), *ADAPTED]
NO_PRODUCTS = tuple(f"recbole/{name}" for name in SCORING_OTHERWISE)
IMPOSSIBLE = ("recbole/SimpleX", "KAR")
PAIRS = [p for p in itertools.product(BACKBONES, own("alignment")) if p != IMPOSSIBLE]
OF_MODEL = {
    "recbole/NCL": {"num_clusters": 3},
    "recbole/ConvNCF": {"cnn_channels": [1, 4], "cnn_kernels": [4], "cnn_strides": [4]},
    "recbole/DGCF": {"n_factors": 2, "n_iterations": 1, "n_layers": 1},
}
# ConvNCF: a bias that is the same in both scores of BPR; LINE: a table that only its loss of second
# order reads, which it takes or leaves at random.
IDLE = {"model.predict_layers.mlp_layers.1.bias", "model.item_context_embedding.weight"}
SMALL = {
    "embedding_size": 8,
    "reg_weight": 0.01,
    "n_sampled": 16,
    "alignment_every": 1,
    "alignment_warmup": 0,
    "n_centers": 3,
    "gen_mask_ratio": 0.5,
    "n_intents": 4,
    "n_seeds": 1,
    "mask_depth": 1,
    "view_steps": 1,
    "dropout_prob": 0.0,
    "mf_embedding_size": 8,
    "mlp_embedding_size": 8,
    "mlp_hidden_size": [8],
    "hidden_size_list": [8, 8],
    "history_len": 5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Datasets ``tiny`` (11 users, 13 items) and ``single`` (one user, one item) with vectors.

    Three items of ``tiny`` have no vector; its user 3 knows these alone, so that it has none
    either.
    """
    root = tmp_path_factory.mktemp("contract")
    rng = np.random.default_rng(3)
    pairs = {tuple(pair) for pair in rng.integers(0, [11, 13], (60, 2)).tolist()}
    pairs = {(u, i) for u, i in pairs if u != 3} | {(3, 0), (3, 1), (0, 12)}
    for name, rows, bare in (("tiny", sorted(pairs), {0, 1, 2}), ("single", [(0, 0)], set())):
        (root / name).mkdir()
        table = pd.DataFrame(rows, columns=["user_id:token", "item_id:token"])
        table.to_csv(root / name / f"{name}.inter", sep="\t", index=False)
        ids = [i for i in range(13) if i not in bare]
        vectors = rng.normal(size=(len(ids), 12)).astype(np.float32)
        np.savez(root / name / "items.npz", ids=np.array(ids).astype(str), embeddings=vectors)
    return root


@pytest.fixture(scope="module")
def configured(folder):
    known = {}

    def configured(model, backbone, name="tiny", **changes):
        key = (model, backbone, name)
        if key not in known:
            settings = {
                **SMALL,
                **OF_MODEL.get(backbone, {}),
                "backbone": backbone,
                "data_path": str(folder),
                "item_embedding_file": str(folder / name / "items.npz"),
                "load_col": {"inter": ["user_id", "item_id"]},
                "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}},
                "state": "ERROR",
                "use_gpu": False,
            }
            known[key] = Config(model, name, config_dict=settings)
        config = copy.copy(known[key])
        config.final_config_dict = {**known[key].final_config_dict, **changes}
        return config

    return configured


@pytest.fixture(scope="module")
def datasets(configured):
    return {
        name: SideEmbeddingDataset(configured("DaRec", "MF", name)).build()[0]
        for name in ("tiny", "single")
    }


@pytest.fixture(scope="module")
def build(configured, datasets):
    def build(model, backbone, name="tiny", **changes):
        if backbone == "recbole/NCL":
            pytest.importorskip("faiss", reason="NCL clusters with faiss")
        config = configured(model, backbone, name, **changes)
        init_seed(5, True)
        return AlignedRecommender(config, datasets[name])

    return build


@pytest.fixture(scope="module")
def batch(datasets):
    """All interactions of ``tiny`` with items that the user does not know."""
    interactions = datasets["tiny"].inter_feat
    users, items = interactions["user_id"], interactions["item_id"]
    known = set(zip(users.tolist(), items.tolist(), strict=True))
    rng = np.random.default_rng(1)
    negatives = []
    for user in users.tolist():
        free = [i for i in range(1, datasets["tiny"].item_num) if (user, i) not in known]
        negatives.append(int(rng.choice(free)))
    return Interaction({"user_id": users, "item_id": items, "neg_item_id": torch.tensor(negatives)})


def trained(model, batch, steps=3):
    init_seed(6, True)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    model.begin_epoch(0)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        sum(model.calculate_loss(batch)).backward()
        optimiser.step()
    return model.eval()


def all_scores(model):
    users = torch.arange(model.n_users)
    with torch.no_grad():
        return model.full_sort_predict(Interaction({"user_id": users})).view(model.n_users, -1)


def test_the_tiny_dataset_lacks_some_texts(datasets):
    sides = [datasets["tiny"].side_embeddings(field) for field in ("user_id", "item_id")]
    assert [int((~side.present[1:]).sum()) for side in sides] == [1, 3]
    assert [len(side) for side in sides] == [12, 14]
    assert [datasets["single"].user_num, datasets["single"].item_num] == [2, 2]


@pytest.mark.parametrize(("backbone", "alignment"), PAIRS)
def test_terms_are_finite_and_their_gradients_reach_every_parameter(
    build, configured, batch, backbone, alignment
):
    # One step, for RLMRec-Gen's token starts at 0, which stops gradients at it on MF.
    model = trained(build(alignment, backbone, alignment_weight=0.5), batch, steps=1)
    model.train()
    model.zero_grad()
    terms = model.calculate_loss(batch)
    own_terms = set(
        model.alignment.active_weights(configured(alignment, backbone, alignment_weight=0.5))
    )
    assert own_terms or not model.alignment.term_weights
    assert len(model.loss_names) == len(terms)
    assert own_terms <= set(model.loss_names)
    assert set(model.loss_names) - own_terms, "the backbone's own objective is missing"
    assert all(term.shape == () and term.isfinite() for term in terms)
    sum(terms).backward()
    for name, parameter in model.named_parameters():
        if name.removeprefix("backbone.") in IDLE:
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("backbone", "alignment"), PAIRS)
def test_shapes_of_representations_and_scores(build, batch, backbone, alignment):
    model = build(alignment, backbone)
    assert model.backbone().users.shape == (12, model.backbone.dim)
    assert model().items.shape == (14, model.backbone.dim)
    model.eval()
    scores = all_scores(model)
    assert scores.shape == (12, 14)
    assert scores.isfinite().all()
    pairs = model.predict(batch)
    expected = scores[batch["user_id"], batch["item_id"]]
    torch.testing.assert_close(pairs, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("backbone", "alignment"), PAIRS)
def test_with_weight_0_it_is_the_bare_backbone_to_the_bit(build, batch, backbone, alignment):
    bare = trained(build(BARE, backbone), batch)
    idle = trained(build(alignment, backbone, alignment_weight=0.0), batch)
    values = bare.backbone.state_dict()
    assert values
    for key, value in idle.backbone.state_dict().items():
        assert torch.equal(values[key], value), key
    assert torch.equal(all_scores(bare), all_scores(idle))


@pytest.mark.parametrize("score", ["sum", "semantic", "concat"])
def test_with_weight_0_nothing_is_added_to_the_scored_rows(build, batch, score):
    bare = trained(build(BARE, "LightGCN"), batch)
    idle = trained(build("DaRec", "LightGCN", alignment_weight=0.0, score=score), batch)
    assert torch.equal(all_scores(bare), all_scores(idle))


@pytest.fixture
def all_large(monkeypatch):
    """Every graph counts as large, and some rows always as few."""
    monkeypatch.setattr(graph_module, "_LARGE", 1)
    monkeypatch.setattr(graph_module, "_FEW", 1.0)


@pytest.fixture
def gradients(build, batch, monkeypatch):
    """Gradients of a step on few interactions, of the rows that it says it reads or of all rows."""

    def gradients(model, backbone, partly, **keys):
        said = []
        reads = AlignedRecommender._rows_read

        def rows_read(self, interaction):
            said.append(reads(self, interaction))
            return said[-1] if partly else None

        with monkeypatch.context() as patch:
            patch.setattr(AlignedRecommender, "_rows_read", rows_read)
            model = build(model, backbone, **{"alignment_weight": 0.5, "n_sampled": 4}, **keys)
            init_seed(6, True)
            model.begin_epoch(0)
            model.train()
            sum(model.calculate_loss(batch[:3])).backward()
        n_nodes = model.backbone.graph.n_nodes
        few = [rows is not None and len(rows.unique()) < n_nodes for rows in said]
        assert few == [model.backbone.reads_batch]
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    return gradients


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(("backbone", "alignment"), [*PAIRS, *((b, BARE) for b in BACKBONES)])
def test_a_step_reads_no_other_rows_than_it_says(all_large, gradients, backbone, alignment):
    """Rows that are not made are 0: whoever read them would learn something else."""
    keys = {} if alignment == BARE else {"gen_mask_ratio": 0.2}
    assert_same(*(gradients(alignment, backbone, partly, **keys) for partly in (True, False)))


@pytest.mark.parametrize("score", ["sum", "semantic"])
def test_a_step_fuses_the_rows_that_are_read(gradients, score):
    """On small graphs too."""
    pair = (gradients("DaRec", "LightGCN", partly, score=score) for partly in (True, False))
    assert_same(*pair)


@pytest.mark.parametrize(
    ("alignment", "score"), [("KAR", "sum"), *(("DaRec", s) for s in ("sum", "semantic"))]
)
def test_under_autocast_a_step_fuses_in_the_precision_of_the_backbone(
    build, batch, alignment, score
):
    model = build(alignment, "LightGCN", alignment_weight=0.5, score=score).train()
    exact = sum(model.calculate_loss(batch[:3]))
    model = build(alignment, "LightGCN", alignment_weight=0.5, score=score).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = sum(model.calculate_loss(batch[:3]))
    loss.backward()
    torch.testing.assert_close(loss.float(), exact, rtol=0.05, atol=0)


@pytest.mark.parametrize("alignment", ["KAR", "DaRec"])
def test_other_rows_stay_as_the_backbone_made_them(build, alignment):
    model = build(alignment, "MF", alignment_weight=0.5, score="semantic")
    output = model.backbone()
    fused, whole = (
        model.alignment.fuse_at(torch.tensor([2, 20]), output),
        model.alignment.fuse(output),
    )
    torch.testing.assert_close(fused.users[2], whole.users[2])
    torch.testing.assert_close(fused.items[8], whole.items[8])
    for ours, made, row in ((fused.users, output.users, 2), (fused.items, output.items, 8)):
        assert (ours != made).any(1).nonzero().tolist() == [[row]]


def test_on_a_large_graph_lightgcn_makes_the_rows_that_are_read(all_large, build, batch):
    model = build(BARE, "LightGCN").train()
    rows = model._rows_read(batch[:1])
    output = model.backbone.forward_at(rows, model.backbone.ego())
    made = torch.cat([output.users, output.items]).any(1).nonzero().flatten()
    assert made.tolist() == rows.tolist()
    one = [batch[field][0].item() for field in ("user_id", "item_id", "neg_item_id")]
    assert rows.tolist() == [one[0], *sorted(12 + item for item in one[1:])]
    assert model.eval()().items[1:].any(1).all()


@pytest.mark.parametrize(("backbone", "alignment"), PAIRS)
def test_with_a_weight_it_is_not(build, batch, backbone, alignment):
    bare = trained(build(BARE, backbone), batch)
    aligned = trained(build(alignment, backbone, alignment_weight=1.0), batch)
    assert not torch.equal(all_scores(bare), all_scores(aligned))


@pytest.mark.parametrize(("backbone", "alignment"), PAIRS)
def test_same_seed_same_numbers_and_a_saved_model_scores_the_same(
    build, batch, tmp_path, backbone, alignment
):
    model, again = (trained(build(alignment, backbone), batch) for _ in range(2))
    scores = all_scores(model)
    assert torch.equal(scores, all_scores(again))
    file = tmp_path / "model.pth"
    state = {"state_dict": model.state_dict(), "other_parameter": model.other_parameter()}
    checkpoint.save(file, state)
    loaded = build(alignment, backbone, seed=99)
    loaded.load_state_dict(checkpoint.load(file, "cpu")["state_dict"])
    assert torch.equal(all_scores(loaded.eval()), scores)


def test_loaded_weights_are_scored_at_once(build, batch):
    """Also in a model that has scored before."""
    model, other = build("DaRec", "LightGCN").eval(), trained(build("DaRec", "LightGCN"), batch)
    assert not torch.equal(all_scores(model), all_scores(other))
    model.load_state_dict(other.state_dict())
    assert torch.equal(all_scores(model), all_scores(other))
    assert not model.full_sort_predict(batch[:1]).requires_grad
    assert all_scores(model.double()).dtype == torch.float64


@pytest.mark.parametrize("alignment", own("alignment"))
def test_encoders_take_the_rows_that_their_names_speak_of(build, alignment):
    model = build(alignment, "LightGCN").alignment
    for name, encoder in model.encoders().items():
        rows = model.items_side.table if name.startswith("L ") else torch.ones(3, model.dim)
        assert encoder(rows).shape == (len(rows), model.dim)


@pytest.mark.parametrize(
    ("backbone", "alignment"), [pair for pair in PAIRS if pair[0] != "recbole/LINE"]
)
def test_one_user_and_one_item(build, backbone, alignment):
    one = torch.tensor([1])
    batch = Interaction({"user_id": one, "item_id": one, "neg_item_id": one})
    model = trained(build(alignment, backbone, "single", num_clusters=1), batch)
    assert all_scores(model).isfinite().all()
    assert all(term.isfinite() for term in model.train().calculate_loss(batch))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_line_refuses_an_item_that_all_users_know(build, datasets, folder):
    message = "'{}' draws users .* all users know item '0', .* item_inter_num_interval to '.0,1.'"
    with pytest.raises(ConfigError, match=message.format("recbole/LINE")):
        build("DaRec", "recbole/LINE", "single")
    config = Config("LINE", "single", config_dict={"data_path": str(folder)})
    with pytest.raises(ConfigError, match=message.format("LINE")):
        build_model(config, datasets["single"])


OWN_KEYS = [
    (family, part, key)
    for family in ("backbone", "alignment")
    for part in own(family)
    for key in parts(family)[part].load().keys
]
# Where a key speaks of what another one switches on.
NEEDS = {
    "require_pow": {"reg": "batch", "reg_weight": 1.0},
    "projection_hidden": {"projection_layers": 2},
    "projection_activation": {"projection_layers": 2},
    "kmeans_iterations": {"loc_weight": 1.0},
    "kmeans_every": {"loc_weight": 1.0},
    "matching": {"loc_weight": 1.0, "n_centers": 8},
    "rank_weight": {"score": "concat"},
    "rank_temperature": {"score": "concat"},
    "semantic_share": {"score": "concat"},
}


def other_value(key: Key, value):
    """An admissible value of the key that is not this one."""
    choices = key.choices() if callable(key.choices) else key.choices
    if choices is not None:
        return next(choice for choice in choices if choice != value)
    if key.kind is bool:
        return not value
    if key.kind is int:
        return 5 if value is None else value * 2 or 3
    return next(v for v in (0.3, 0.7) if v != value)


@pytest.mark.parametrize(("family", "part", "name"), OWN_KEYS)
def test_every_key_of_a_part_changes_what_is_learnt(build, configured, batch, family, part, name):
    some = batch[:12]  # not all rows
    backbone, alignment = (part, BARE) if family == "backbone" else ("LightGCN", part)
    needed = {"alignment_weight": 1.0} if family == "alignment" else {}
    needed |= NEEDS.get(name, {})
    value = configured(alignment, backbone, **needed)[name]
    changed = needed | {name: other_value(parts(family)[part].load().keys[name], value)}
    models = (build(alignment, backbone, **keys) for keys in (needed, changed))
    assert not torch.equal(*(all_scores(trained(model, some, steps=4)) for model in models))


OWN_TERMS = [
    (name, *pair)
    for name in own("alignment")
    for pair in parts("alignment")[name].load().term_weights.items()
]


def named_terms(model, batch):
    model.train()
    terms = model.calculate_loss(batch)
    return dict(zip(model.loss_names, terms, strict=True))


@pytest.mark.parametrize(("alignment", "term", "key"), OWN_TERMS)
def test_each_weight_scales_its_term_alone(build, batch, alignment, term, key):
    needed = {"alignment_weight": 0.5} | NEEDS.get(key, {})
    once, thrice = (
        named_terms(build(alignment, "MF", **needed, **{key: weight}), batch)
        for weight in (0.2, 0.6)
    )
    for name, value in once.items():
        factor = 3 if name == term else 1
        assert thrice[name].item() == pytest.approx(factor * value.item(), rel=1e-5), name
    assert once[term].item() != 0


@pytest.mark.parametrize("alignment", sorted({alignment for alignment, _, _ in OWN_TERMS}))
def test_rows_without_text_get_no_gradient_from_the_terms(build, batch, alignment):
    model = build(alignment, "MF", alignment_weight=0.5)
    terms = named_terms(model, batch)
    rest = [value for name, value in terms.items() if name in model.alignment.term_weights]
    (gradient,) = torch.autograd.grad(sum(rest), model.backbone.embedding)
    present = torch.cat([model.alignment.users_side.present, model.alignment.items_side.present])
    assert gradient[~present].abs().sum() == 0
    # MF cannot tell a masked row from its neighbours, so that Gen trains nothing but its token.
    assert (gradient[present].abs().sum() > 0) == (alignment != "RLMRecGen")


def test_a_backbone_whose_objective_ignores_the_scored_rows_refuses_to_have_them_changed(build):
    backbone, alignment = IMPOSSIBLE
    with pytest.raises(ConfigError, match=f"'{alignment}' changes the .*'{backbone}'"):
        build(alignment, backbone)
    with pytest.raises(ConfigError, match="nothing would be learnt"):
        build("DaRec", backbone, score="sum")


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b not in NO_PRODUCTS])
def test_rows_beside_the_backbones_leave_its_training_as_it_is(build, batch, backbone):
    alone, beside = (
        # L_loc compares with the means of the semantic shared parts, which L_rank moves.
        trained(build("DaRec", backbone, score=score, loc_weight=0.0), batch)
        for score in ("backbone", "concat")
    )
    width = alone.backbone.dim
    ours = {key: value for key, value in alone.state_dict().items() if "semantic" not in key}
    assert len(ours) > len(alone.backbone.state_dict())
    for key, value in ours.items():
        assert torch.equal(value, beside.state_dict()[key]), key
    taught = "alignment.semantic_shared.layers.0.weight"
    assert not torch.equal(alone.state_dict()[taught], beside.state_dict()[taught])
    output, scored = alone(), beside()
    assert torch.equal(scored.users[:, :width], output.users)
    assert torch.equal(scored.items[:, :width], output.items)
    users, items = (
        side.present for side in (beside.alignment.users_side, beside.alignment.items_side)
    )
    own, both = (all_scores(model)[users][:, items] for model in (alone, beside))
    share = (both - own).std(1).mean() / own.std(1).mean()
    assert share.item() == pytest.approx(0.2, rel=1e-4)
    assert not scored.users[~users, width:].any()
    shared = beside.alignment.semantic_shared(beside.alignment.items_side.table)
    unit = torch.nn.functional.normalize(shared)
    factor = 0.2 * output.items[items].square().sum(1).mean().sqrt()
    torch.testing.assert_close(
        scored.items[items, width:], factor * unit[items], rtol=1e-4, atol=1e-6
    )
    expected = completed(unit, items, output.items)
    torch.testing.assert_close(
        scored.items[~items, width:], factor * expected[~items], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("backbone", NO_PRODUCTS)
def test_rows_beside_those_of_a_backbone_without_inner_products_are_refused(build, backbone):
    with pytest.raises(ConfigError, match=f"'DaRec' puts .* '{backbone}' does not score by inner"):
        build("DaRec", backbone, score="concat")
    build("DaRec", backbone, score="concat", alignment_weight=0.0)


@pytest.mark.parametrize("name", SERVING)
def test_darec_trains_on_every_serving_model_of_recbole_with_one_pass_a_step(build, batch, name):
    model = build("DaRec", f"recbole/{name}", alignment_weight=1.0)
    ego = model.backbone.ego().clone()
    before = {key: value.clone() for key, value in model.alignment.named_parameters()}
    inner, passes, calls = model.backbone.model, [], []
    whole = model.backbone._arguments

    class Counting(type(inner)):
        def forward(self, *arguments):
            calls.append(1)
            if len(arguments) == len(whole) and all(map(operator.is_, arguments, whole)):
                passes.append(1)
            return super().forward(*arguments)

    inner.__class__ = Counting
    trained(model, batch, steps=2)
    assert not torch.equal(model.backbone.ego(), ego)
    for key, value in model.alignment.named_parameters():
        assert not torch.equal(value, before[key]), key
    # The others look their embeddings up and propagate nothing.
    propagates = name in ("DGCF", "LightGCN", "NCL", "NGCF", "SGL", "SpectralCF")
    assert len(passes) == (2 if propagates else 0)
    # With views and look-ups: as many calls a step as in RecBole alone.
    ours = len(calls) / 2
    calls.clear()
    inner.calculate_loss(model.backbone._labelled(batch))
    assert ours == len(calls)


def test_simplex_aggregates_each_user_that_a_step_reads_once(build, batch):
    few = batch[:4]
    for model in (build(BARE, "recbole/SimpleX"), build("DaRec", "recbole/SimpleX", n_sampled=2)):
        inner, calls = model.backbone.model, []

        class Counting(type(inner)):
            def get_UI_aggregation(self, users, *rest):  # noqa: N802 - RecBole's name
                calls.append(len(users))  # noqa: B023
                return super().get_UI_aggregation(users, *rest)

        inner.__class__ = Counting
        trained(model, few, steps=1)
        (aggregated,) = calls
        assert len(few["user_id"].unique()) <= aggregated < model.backbone.n_users


@pytest.mark.parametrize("name", sorted(set(compat.general_recommenders()) - set(SERVING)))
def test_the_adapter_itself_refuses_what_the_table_refuses(datasets, folder, name):
    config = Config(name, "tiny", config_dict={"data_path": str(folder), "embedding_size": 8})
    config["backbone"] = f"recbole/{name}"
    with pytest.raises(ConfigError, match=f"'recbole/{name}' cannot serve"):
        AlignedRecommender(config, datasets["tiny"])


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in FAMILIES for name in own(family)]
)
def test_every_own_part_has_a_test_a_yaml_and_a_line_in_the_docs(family, name):
    part = parts(family)[name]
    module = part.target.partition(":")[0].rpartition(".")[2]
    assert part.properties() == ROOT / "properties" / family / f"{name}.yaml"
    assert part.properties().is_file()
    file = ROOT / "tests" / family / f"test_{module}.py"
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = [n for n in ast.walk(tree) if isinstance(n, functions) and n.name.startswith("test_")]
    assert tests, f"{file} tests nothing"
    names = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert name in names, f"{file} does not name {name}"
    text = (ROOT / "docs" / {"alignment": "method.md"}.get(family, "backbones.md")).read_text()
    assert re.search(rf"\b{name}\b", text), f"{name} is not in the docs"
