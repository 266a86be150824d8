"""The adapter of RecBole's models: one forward pass a step, RecBole's own losses and scores."""

import copy
import importlib.util
import random

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import LightGCN as RecBoleLightGCN

from recbole_darec.backbone.recbole import RecBoleBackbone
from recbole_darec.keys import ConfigError

PROPAGATING = ["LightGCN", "NGCF", "DGCF", "SpectralCF", "SGL"]
TABLES = ["BPR", "LINE", "ENMF", "ConvNCF", "NeuMF"]
KEYS = {
    "NGCF": {"hidden_size_list": [16, 16]},
    "DGCF": {"n_factors": 2, "n_iterations": 1, "n_layers": 1, "cor_batch_size": 64},
    "ENMF": {"train_neg_sample_args": None},
    "SimpleX": {"history_len": 20},
    "ConvNCF": {"cnn_channels": [1, 4], "cnn_kernels": [4], "cnn_strides": [4]},
}


@pytest.fixture(scope="module")
def backbone(recbole_setting):
    built = {}

    def build(name):
        if name not in built:
            size = {"ConvNCF": 8}.get(name, 16)
            config, dataset = recbole_setting(
                name, backbone=f"recbole/{name}", embedding_size=size, **KEYS.get(name, {})
            )
            torch.manual_seed(0)
            built[name] = RecBoleBackbone.from_dataset(config, dataset)
        return copy.deepcopy(built[name])

    return build


@pytest.fixture
def small_batch(real_batch):
    return Interaction({key: value[:64] for key, value in real_batch.items()})


def seeded(function):
    """Result of a function whose random numbers are those of one seed: DGCF, LINE use Python's."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    return function()


@pytest.mark.parametrize("name", [*PROPAGATING, "BPR", "LINE", "ENMF", "ConvNCF", "SimpleX"])
def test_loss_and_gradients_are_those_of_recbole(backbone, small_batch, name):
    model = backbone(name)
    seeded(model.train)
    # RecBole gives ENMF users, each once.
    users = {"user_id": torch.unique(small_batch["user_id"])}
    given = Interaction(users) if name == "ENMF" else small_batch
    theirs = seeded(lambda: model.model.calculate_loss(given)).sum()
    theirs.backward()
    expected = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    terms = seeded(lambda: model.loss(small_batch, model()))
    torch.testing.assert_close(sum(terms.values()), theirs, rtol=1e-5, atol=1e-6)
    sum(terms.values()).backward()
    for key, parameter in model.named_parameters():
        if key in expected:
            torch.testing.assert_close(parameter.grad, expected[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PROPAGATING)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_under_autocast_propagation_is_in_single_precision(backbone, small_batch, name, half):
    def step(enabled):
        model = backbone(name)
        seeded(model.train)
        with torch.autocast("cpu", dtype=half, enabled=enabled):
            value = sum(seeded(lambda: model.loss(small_batch, model())).values())
        value.backward()
        return value, model.model.user_embedding.weight.grad

    exact, found = step(False), step(True)
    torch.testing.assert_close(found, exact)


def test_pointwise_models_are_given_labelled_pairs(backbone, small_batch):
    model = backbone("NeuMF")
    model.eval()
    users, positives, negatives = model.triples(small_batch)
    losses = []
    for items, label in ((positives, 1.0), (negatives, 0.0)):
        scores = model.model.forward(users, items)
        target = torch.full_like(scores, label)
        losses.append(torch.nn.functional.binary_cross_entropy_with_logits(scores, target))
    expected = sum(losses) / 2
    torch.testing.assert_close(model.loss(small_batch, model())["base"], expected)


def test_pointwise_models_are_given_each_positive_once_beside_several_negatives(recbole_setting):
    args = {"distribution": "uniform", "sample_num": 3, "alpha": 1.0, "dynamic": False}
    config, dataset = recbole_setting("NeuMF", backbone="recbole/NeuMF", train_neg_sample_args=args)
    users, items = torch.tensor([1, 2]), torch.tensor([3, 4])
    negatives = torch.arange(5, 11)
    ids = {"user_id": users.repeat(3), "item_id": items.repeat(3), "neg_item_id": negatives}
    given = RecBoleBackbone.from_dataset(config, dataset)._labelled(Interaction(ids))
    assert given["user_id"].tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
    assert given["item_id"].tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    assert given["label"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", [*PROPAGATING, *TABLES, "SimpleX"])
def test_scores_are_those_of_recbole(backbone, name):
    model = backbone(name).eval()
    with torch.no_grad():
        output = model()
        scores = model.score(output.users[1:4], output.items[:50])
        for row, user in enumerate((1, 2, 3)):
            pairs = {"user_id": torch.full((50,), user), "item_id": torch.arange(50)}
            theirs = model.model.predict(Interaction(pairs))
            torch.testing.assert_close(scores[row], theirs.view(-1), rtol=1e-4, atol=1e-6)
    assert output.users.shape == (model.n_users, model.dim)
    assert output.items.shape == (model.n_items, model.dim)


@pytest.mark.parametrize("name", PROPAGATING)
def test_one_forward_pass_a_step(backbone, small_batch, name):
    model = backbone(name)
    model.train()
    main_passes = []
    original = type(model.model).forward

    def counting(self, *arguments):
        if all(a is b for a, b in zip(arguments, model._arguments, strict=True)):
            main_passes.append(1)
        return original(self, *arguments)

    model.model.__class__ = type(name, (type(model.model),), {"forward": counting})
    output = model()
    sum(model.loss(small_batch, output).values()).backward()
    assert len(main_passes) == 1
    sum(model.loss(small_batch, model()).values()).backward()
    assert len(main_passes) == 2


@pytest.mark.parametrize("name", ["LightGCN", "NGCF", "BPR", "NeuMF", "SimpleX"])
def test_given_ego_and_changed_output_enter_the_loss(backbone, small_batch, name):
    model = backbone(name)
    model.train()
    ego = torch.zeros_like(model.ego()).requires_grad_()
    output = model(ego + torch.randn_like(ego))
    terms = sum(seeded(lambda: model.loss(small_batch, output)).values())
    gradient = torch.autograd.grad(terms, ego, allow_unused=True)[0]
    assert gradient is not None
    assert gradient.abs().sum() > 0
    if name != "SimpleX":
        output.users = output.users * 2
        changed = sum(seeded(lambda: model.loss(small_batch, output)).values())
        assert not torch.allclose(changed, terms)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MultiVAE", "it has no tables of user and of item embeddings"),
        ("ItemKNN", "it has no tables of user and of item embeddings"),
        ("FISM", "it has no tables of user and of item embeddings"),
        ("CDAE", "it has no tables of user and of item embeddings"),
        ("NNCF", "more than one representation of each user and item"),
    ],
)
def test_models_that_cannot_serve_are_refused_with_the_reason(backbone, name, message):
    with pytest.raises(ConfigError, match=rf"'recbole/{name}' cannot serve: .*{message}"):
        backbone(name)


@pytest.mark.parametrize(
    "returned", [lambda users, items: users, lambda users, items: (items, users)]
)
def test_a_forward_pass_that_returns_something_else_is_refused(
    recbole_setting, monkeypatch, returned
):
    forward = RecBoleLightGCN.forward
    monkeypatch.setattr(RecBoleLightGCN, "forward", lambda self: returned(*forward(self)))
    config, dataset = recbole_setting("LightGCN", backbone="recbole/LightGCN")
    with pytest.raises(ConfigError, match="'recbole/LightGCN' cannot serve: its forward pass does"):
        RecBoleBackbone.from_dataset(config, dataset)


@pytest.mark.skipif(importlib.util.find_spec("faiss") is not None, reason="faiss is installed")
def test_ncl_names_the_missing_package(backbone):
    with pytest.raises(ConfigError, match="needs the package 'faiss': pip install faiss-cpu"):
        backbone("NCL")


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("DGCF", {"embedding_size": 18}, "RecBole's DGCF cannot be built.*embedding_size: 18"),
        ("SimpleX", {"aggregator": "bogus"}, "RecBole's SimpleX cannot be built.*ValueError"),
        ("ConvNCF", {"embedding_size": 8}, "RecBole's ConvNCF cannot be built.*Kernel size"),
    ],
)
def test_what_recboles_code_refuses_is_said_in_words(recbole_setting, name, keys, message):
    config, dataset = recbole_setting(name, backbone=f"recbole/{name}", **keys)
    with pytest.raises(ConfigError, match=message):
        RecBoleBackbone.from_dataset(config, dataset)


def test_ncl_refuses_more_clusters_than_rows(recbole_setting):
    pytest.importorskip("faiss", reason="NCL clusters with faiss")
    config, dataset = recbole_setting("NCL", backbone="recbole/NCL", num_clusters=10**6)
    with pytest.raises(ConfigError, match=r"cannot make 1000000 clusters of \d+ rows.*set key"):
        RecBoleBackbone.from_dataset(config, dataset)
