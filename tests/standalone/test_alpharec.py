"""AlphaRec against plain loops in float64, and its run."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.registry import parts
from recbole_darec.standalone import alpharec
from recbole_darec.standalone.alpharec import AlphaRec, _products
from recbole_darec.user_values import UserValues

PAIRS = [("u1", "a"), ("u1", "b"), ("u2", "b"), ("u2", "d"), ("u3", "c"), ("u3", "a"), ("u4", "d")]
VECTORS = {"a": [1.0, -0.5, 0.2], "b": [0.3, 0.8, -1.0], "c": [-0.7, 0.1, 0.4]}


@pytest.fixture
def build(tmp_path):
    """AlphaRec on four users and four items, of which ``d`` has no text, nor has user ``u4``."""
    (tmp_path / "four").mkdir()
    np.savez(tmp_path / "v.npz", ids=list(VECTORS), embeddings=np.array(list(VECTORS.values())))

    def build(pairs=PAIRS, **keys):
        table = pd.DataFrame(pairs, columns=["user_id:token", "item_id:token"])
        table.to_csv(tmp_path / "four" / "four.inter", sep="\t", index=False)
        settings = {
            "data_path": str(tmp_path),
            "item_embedding_file": str(tmp_path / "v.npz"),
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}},
            "embedding_size": 4,
            "n_negatives": 1,
            "infonce_tau": 0.3,
            "state": "ERROR",
            **keys,
        }
        config = Config("AlphaRec", "four", config_dict=settings)
        torch.manual_seed(0)
        model = AlphaRec(config, create_dataset(config).build()[0])
        for layer in model.projection.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.bias)
        return model.double(), config

    return build


def test_a_user_who_knows_all_items_is_refused_where_the_sampler_lets_him_pass(build):
    everything = [*PAIRS, ("u1", "c"), ("u1", "d")]
    with pytest.raises(ConfigError, match="interacted with all items, so that AlphaRec has none"):
        build(everything, repeatable=True)


@pytest.mark.parametrize(
    "drawing", [{"distribution": "popularity"}, {"dynamic": True, "candidate_num": 2}]
)
def test_negatives_that_it_does_not_draw_are_refused(build, drawing):
    with pytest.raises(ConfigError, match="but AlphaRec draws its n_negatives uniformly; leave"):
        build(train_neg_sample_args=drawing)


def dot(first, second):
    return sum(x * y for x, y in zip(first, second, strict=True))


def linear(layer, row):
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [dot(weights, row) + bias for weights, bias in rows]


def plain_representations(model, n_layers):
    """Unit rows by token: projection, mean of the layers of symmetric propagation."""
    first, _, second = model.projection.layers
    own = {name: np.float32(VECTORS[name]).tolist() for name in VECTORS}
    neighbours = {name: [] for pair in PAIRS for name in pair}
    for user, item in PAIRS:
        neighbours[user].append(item)
        neighbours[item].append(user)
    raw = {}
    for name, around in neighbours.items():
        rows = [own[name]] if name in own else [own[n] for n in around if n in own]
        raw[name] = [sum(v) / len(rows) for v in zip(*rows, strict=True)] if rows else None
    layer = {}
    for name, row in raw.items():
        hidden = [max(x, 0.01 * x) for x in linear(first, row)] if row else None
        layer[name] = linear(second, hidden) if row else [0.0] * 4
    total = {name: list(row) for name, row in layer.items()}
    for _ in range(n_layers):
        layer = {
            name: [
                sum(layer[n][k] / math.sqrt(len(around) * len(neighbours[n])) for n in around)
                for k in range(4)
            ]
            for name, around in neighbours.items()
        }
        for name, row in layer.items():
            total[name] = [x + y for x, y in zip(total[name], row, strict=True)]
    return {name: [x / math.sqrt(dot(row, row)) for x in row] for name, row in total.items()}


@pytest.mark.parametrize("n_layers", [2, 3])
def test_objective_and_scores_equal_plain_loops(build, n_layers):
    model, config = build(n_layers=n_layers)
    dataset = create_dataset(config)
    expected = plain_representations(model, n_layers)
    triples = [("u1", "a", "c"), ("u2", "b", "a"), ("u3", "c", "b"), ("u4", "d", "a")]
    losses = []
    for user, positive, negative in triples:
        cosine = [dot(expected[user], expected[item]) / 0.3 for item in (positive, negative)]
        losses.append(-math.log(math.exp(cosine[0]) / sum(map(math.exp, cosine))))
    columns = zip(*triples, strict=True)
    fields = ("user_id", "item_id", "neg_item_id")
    batch = Interaction(
        {
            field: torch.tensor(dataset.token2id(field.removeprefix("neg_"), list(column)))
            for field, column in zip(fields, columns, strict=True)
        }
    )
    (loss,) = model.calculate_loss(batch)
    assert model.loss_names == ("infonce",)
    assert loss.item() == pytest.approx(sum(losses) / 4, abs=1e-6)
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    scores = model.eval().full_sort_predict(batch).view(4, -1)
    torch.testing.assert_close(scores[range(4), batch["item_id"]], model.predict(batch))
    score = scores[2, dataset.token2id("item_id", "b")].item()
    assert score == pytest.approx(dot(expected["u3"], expected["b"]), abs=1e-6)


def test_what_has_no_text_near_by_is_zero(build):
    model, config = build(n_layers=1)
    dataset, output = create_dataset(config), model()
    users, items = output.users.norm(dim=1), output.items.norm(dim=1)
    # User u4 knows d alone, which has no text; d has that of its user u2.
    far = [0, dataset.token2id("user_id", "u4")]
    torch.testing.assert_close(users, torch.ones_like(users).index_fill(0, torch.tensor(far), 0))
    torch.testing.assert_close(items, torch.ones_like(items).index_fill(0, torch.tensor([0]), 0))


def test_what_has_no_text_near_by_leaves_gradients_finite_in_half_precision(build):
    """What comes back from a row of zeros is beyond float16, and infinity times 0 is no number."""
    model, config = build(n_layers=1)
    model, dataset = model.float(), create_dataset(config)
    fields = {"user_id": ["u4", "u1"], "item_id": ["d", "a"], "neg_item_id": ["a", "c"]}
    batch = Interaction(
        {
            field: torch.tensor(dataset.token2id(field.removeprefix("neg_"), tokens))
            for field, tokens in fields.items()
        }
    )
    with torch.autocast("cpu", dtype=torch.float16):
        (loss,) = model.calculate_loss(batch)
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_further_negatives_are_items_that_the_user_does_not_know(build):
    model, config = build(n_negatives=200)
    dataset = create_dataset(config)
    users = torch.tensor(dataset.token2id("user_id", ["u1", "u2", "u3", "u4"]))
    drawn = model._draw(users)
    assert drawn.shape == (4, 199)
    for user, items in zip(["u1", "u2", "u3", "u4"], drawn, strict=True):
        known = {item for who, item in PAIRS if who == user}
        found = set(map(str, dataset.id2token("item_id", items.numpy())))
        assert found == set("abcd") - known


@pytest.mark.parametrize("placebo", ["shuffle", "gaussian"])
def test_a_placebo_replaces_its_inputs(build, placebo):
    (real, _), (replaced, _) = (build(embedding_placebo=kind) for kind in ("none", placebo))
    (users, items), n_users = replaced.graph.edges(), replaced.n_users
    theirs, ours = real.semantic[n_users:], replaced.semantic[n_users:]
    assert not torch.equal(theirs, ours)
    assert torch.equal(theirs.any(1), ours.any(1))
    if placebo == "shuffle":
        assert sorted(theirs.tolist()) == sorted(ours.tolist())
    for user in range(1, n_users):
        known = [ours[item] for item in items[users == user] if ours[item].any()]
        mean = sum(known) / len(known) if known else torch.zeros(3)
        torch.testing.assert_close(replaced.semantic[user], mean.to(ours.dtype))


def test_only_the_projection_is_trained_and_saved(build):
    model, _ = build()
    assert all(name.startswith("projection.") for name in model.state_dict())


def test_it_trains_by_the_script_without_a_backbone(run):
    result = run("AlphaRec", epochs=3, n_negatives=8)
    assert result["test_result"]["ndcg@10"] > 0.05
    assert run("AlphaRec", epochs=3, n_negatives=8)["test_result"] == result["test_result"]


def test_a_loaded_run_has_the_metrics_of_the_run(run, caplog):
    result = run("AlphaRec", epochs=1, n_negatives=4)
    loaded = load(result["run_folder"])
    users = loaded.loaders[2].uid_list
    with torch.no_grad():
        scores = loaded.model.full_sort_predict({"user_id": users}).view(len(users), -1)
    scores[:, 0] = -2
    for users_of_batch, (rows, items), *_ in loaded.loaders[2]:
        scores[rows + int(torch.searchsorted(users, users_of_batch["user_id"][0])), items] = -2
    best = scores.argmax(dim=1)
    test = loaded.loaders[2]._dataset.inter_feat
    pairs = set(zip(test["user_id"].tolist(), test["item_id"].tolist(), strict=True))
    hits = [pair in pairs for pair in zip(users.tolist(), best.tolist(), strict=True)]
    saved = UserValues.load(result["run_folder"])
    assert hits == saved.hits[:, 0].tolist()
    assert "not bit-equal" not in caplog.text


@pytest.mark.parametrize("cells", [2**19, 128, 1])
@pytest.mark.parametrize("n_items", [64, 65])
def test_both_ways_to_the_candidates_products_are_the_plain_loops(n_items, cells, monkeypatch):
    monkeypatch.setattr(alpharec, "_CELLS", cells)
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 3, generator=generator).double() for n in (4, n_items))
    candidates = torch.randint(n_items, (4, 2), generator=generator)
    found = _products(users, items, candidates)
    for row, user in enumerate(users):
        for at, item in enumerate(candidates[row]):
            assert found[row, at].item() == pytest.approx((user * items[item]).sum().item())


def test_texts_of_users_are_not_read(run):
    """Not encoded either: from a file that serves several models they are dropped with a word."""
    with pytest.raises(ConfigError, match="'user_template' is not read by AlphaRec; DaRec, "):
        Config("AlphaRec", command_line=["--user_template={age}"])
    plain = run("AlphaRec", epochs=1, n_negatives=4)
    resolved = (Path(plain["run_folder"]) / "config.yaml").read_text()
    assert "item_template" in resolved
    assert "user_template" not in resolved
    given = run("AlphaRec", epochs=1, n_negatives=4, user_text_file="no-such.jsonl")
    assert given["test_result"] == plain["test_result"]
    log = (Path(given["run_folder"]) / "run.log").read_text()
    assert "key 'user_text_file' is not read by AlphaRec; DaRec, KAR, RLMRecCon, " in log


def test_a_backbone_is_refused():
    with pytest.raises(ConfigError, match="'AlphaRec' has no backbone; leave key 'backbone' out"):
        Config("AlphaRec", config_dict={"backbone": "MF"})


def test_every_key_has_a_default_and_a_comment():
    part = parts("standalone")["AlphaRec"]
    lines = [line for line in part.properties().read_text().splitlines() if ":" in line[:30]]
    declared = {line.partition(":")[0] for line in lines if "#" in line and line[0] != "#"}
    assert set(part.load().keys) <= declared
