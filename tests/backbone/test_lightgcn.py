"""LightGCN against RecBole's class on the same weights, and against plain loops."""

import numpy as np
import plain_loops
import pytest
import torch
from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN

from recbole_darec.backbone.lightgcn import LightGCN


@pytest.mark.parametrize(("require_pow", "n_layers"), [(False, 2), (True, 3)])
def test_equals_recbole(recbole_setting, real_graph, real_batch, defaults, require_pow, n_layers):
    keys = {"n_layers": n_layers, "require_pow": require_pow, "reg_weight": 1e-2}
    theirs_config, dataset = recbole_setting("LightGCN", **keys)
    torch.manual_seed(7)
    theirs = RecBoleLightGCN(theirs_config, dataset)
    torch.manual_seed(7)
    ours = LightGCN(defaults("LightGCN", **keys), real_graph)

    tables = torch.cat([theirs.user_embedding.weight, theirs.item_embedding.weight])
    assert torch.equal(ours.embedding, tables)

    output = ours()
    users, items = theirs()
    torch.testing.assert_close(output.users, users, rtol=0, atol=1e-6)
    torch.testing.assert_close(output.items, items, rtol=0, atol=1e-6)

    our_loss = sum(ours.loss(real_batch, output).values())
    their_loss = theirs.calculate_loss(real_batch)
    torch.testing.assert_close(our_loss, their_loss.squeeze(), rtol=0, atol=1e-6)

    our_loss.backward()
    their_loss.backward()
    grads = torch.cat([theirs.user_embedding.weight.grad, theirs.item_embedding.weight.grad])
    torch.testing.assert_close(ours.embedding.grad, grads, rtol=1e-4, atol=1e-8)


def test_recboles_defaults_are_ours(recbole_setting, defaults):
    theirs, _ = recbole_setting("LightGCN")
    ours = defaults("LightGCN")
    for key in ("embedding_size", "n_layers", "reg_weight", "require_pow"):
        assert ours[key] == theirs[key]


def plain_loop_objective(model, graph, batch, adjacency, config):
    """The published objective by explicit loops in float64."""
    table = model.embedding.detach().double().numpy()
    layers = [table]
    for _ in range(config["n_layers"]):
        layers.append(plain_loops.product(adjacency, layers[-1]))
    final = sum(layers) / (1 if config["layer_aggregation"] == "sum" else len(layers))
    bpr = plain_loops.bpr(final, batch, graph.n_users, softplus=config["bpr"] == "softplus")
    if config["reg"] == "all":
        reg = plain_loops.l2_of_all(model)
    else:
        reg = plain_loops.l2_of_batch(table, batch, graph.n_users, config["require_pow"])
    return {"bpr": bpr, "reg": config["reg_weight"] * reg}


@pytest.mark.parametrize(
    "keys",
    [
        {"layer_aggregation": "mean", "bpr": "recbole", "reg": "batch", "require_pow": False},
        {"layer_aggregation": "mean", "bpr": "softplus", "reg": "batch", "require_pow": True},
        {"layer_aggregation": "sum", "bpr": "softplus", "reg": "all"},
    ],
)
def test_objective_equals_plain_loops(tiny_graph, tiny_batch, defaults, keys):
    config = defaults("LightGCN", embedding_size=3, n_layers=3, reg_weight=0.1, **keys)
    model = LightGCN(config, tiny_graph).double()
    pairs = plain_loops.pairs_of(tiny_graph)
    adjacency = plain_loops.adjacency(pairs, tiny_graph.n_users, tiny_graph.n_items)
    expected = plain_loop_objective(model, tiny_graph, tiny_batch, adjacency, config)
    terms = model.loss(tiny_batch, model())
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, abs=1e-6)


def test_edge_dropout_trains_on_a_view_and_evaluates_on_the_graph(tiny_graph, tiny_batch, defaults):
    config = defaults("LightGCN", embedding_size=3, keep_rate=0.5, bpr="softplus")
    model = LightGCN(config, tiny_graph).double()
    torch.manual_seed(3)
    view = tiny_graph.drop_edges(0.5, renormalise=False).matrix.to_dense().numpy()
    whole = tiny_graph.adjacency.matrix.to_dense().numpy()
    assert not np.array_equal(view, whole)
    torch.manual_seed(3)
    for mode, adjacency in ((True, view), (False, whole)):
        model.train(mode)
        expected = plain_loop_objective(model, tiny_graph, tiny_batch, adjacency, config)
        assert model.loss(tiny_batch, model())["bpr"].item() == pytest.approx(expected["bpr"])


def test_given_ego_takes_the_place_of_the_table(tiny_graph, defaults):
    model = LightGCN(defaults("LightGCN", embedding_size=3), tiny_graph)
    ego = torch.randn(16, 3)
    expected = tiny_graph.smooth(ego, 2) / 3
    torch.testing.assert_close(torch.cat([model(ego).users, model(ego).items]), expected)


def test_gradients_reach_the_whole_table_of_connected_nodes(tiny_graph, tiny_batch, defaults):
    model = LightGCN(defaults("LightGCN", embedding_size=3), tiny_graph)
    sum(model.loss(tiny_batch, model()).values()).backward()
    connected = tiny_graph.crow.diff() > 0
    assert model.embedding.grad[connected].ne(0).any(dim=1).all()


def test_state_holds_the_table_alone(tiny_graph, defaults):
    model = LightGCN(defaults("LightGCN"), tiny_graph)
    assert list(model.state_dict()) == ["embedding"]
