import numpy as np
import plain_loops
import pytest
import torch
from recbole.model.general_recommender.sgl import SGL as RecBoleSGL  # noqa: N811

from recbole_darec.backbone.sgl import SGL


def views_of(graph, kind, ratio, renormalise, n_layers):
    """Matrices of each layer of two views, from the numbers that the global generator gives."""

    def draw():
        if kind == "ND":
            nodes = (torch.rand(graph.n_nodes) >= ratio).tolist()
            all_pairs = plain_loops.pairs_of(graph)
            pairs = [(u, i) for u, i in all_pairs if nodes[u] and nodes[graph.n_users + i]]
        else:
            kept = (torch.rand(graph.n_edges) >= ratio).tolist()
            pairs = plain_loops.pairs_of(graph, kept)
        counted = None if renormalise else plain_loops.pairs_of(graph)
        return plain_loops.adjacency(pairs, graph.n_users, graph.n_items, counted)

    if kind == "RW":
        return [[draw() for _ in range(n_layers)] for _ in range(2)]
    return [[draw()] * n_layers for _ in range(2)]


def propagate(table, matrices, mean):
    layers = [table]
    for matrix in matrices:
        layers.append(plain_loops.product(matrix, layers[-1]))
    return sum(layers) / (len(layers) if mean else 1)


@pytest.mark.parametrize("kind", ["ED", "ND", "RW"])
@pytest.mark.parametrize("rlmrec", [False, True])
def test_objective_equals_plain_loops(tiny_graph, tiny_batch, defaults, kind, rlmrec):
    keys = {"renormalise_views": not rlmrec, "ssl_negatives": rlmrec}
    if rlmrec:
        keys |= {"layer_aggregation": "sum", "bpr": "softplus", "reg": "all"}
    config = defaults(
        "SGL", embedding_size=3, type=kind, drop_ratio=0.4, n_layers=2, reg_weight=0.1, **keys
    )
    graph, n_users = tiny_graph, tiny_graph.n_users
    model = SGL(config, graph).double()
    torch.manual_seed(2)
    views = views_of(graph, kind, 0.4, not rlmrec, 2)
    table = model.embedding.detach().numpy()
    first, second = (propagate(table, view, mean=not rlmrec) for view in views)
    contrast = 0.0
    for key, rows in (("user_id", slice(0, n_users)), ("item_id", slice(n_users, None))):
        ids = tiny_batch[key].tolist()
        a, b = first[rows], second[rows]
        contrast += plain_loops.info_nce(a[ids].tolist(), b[ids].tolist(), b.tolist(), 0.5)
        if key == "item_id" and rlmrec:
            ids = tiny_batch["neg_item_id"].tolist()
            contrast += plain_loops.info_nce(a[ids].tolist(), b[ids].tolist(), b.tolist(), 0.5)

    torch.manual_seed(2)
    model.train()
    terms = model.loss(tiny_batch, model())
    assert terms["ssl"].item() == pytest.approx(0.05 * contrast, abs=1e-6)
    whole = plain_loops.adjacency(plain_loops.pairs_of(graph), n_users, graph.n_items)
    clean = propagate(table, [whole] * 2, mean=not rlmrec)
    expected = plain_loops.bpr(clean, tiny_batch, n_users, softplus=rlmrec)
    assert terms["bpr"].item() == pytest.approx(expected, abs=1e-6)
    if rlmrec:
        reg = plain_loops.l2_of_all(model)
    else:
        reg = plain_loops.l2_of_batch(table, tiny_batch, n_users, False)
        reg /= len(tiny_batch["user_id"])
    assert terms["reg"].item() == pytest.approx(0.1 * reg, abs=1e-6)


def test_equals_recbole_over_the_size_of_the_batch(
    recbole_setting, real_graph, real_batch, defaults
):
    keys = {"drop_ratio": 0.0, "reg_weight": 1.0, "n_layers": 2}
    theirs = RecBoleSGL(*recbole_setting("SGL", type="ED", **keys))
    ours = SGL(defaults("SGL", **keys), real_graph)
    tables = torch.cat([theirs.user_embedding.weight, theirs.item_embedding.weight])
    with torch.no_grad():
        ours.embedding.copy_(tables)
    theirs.train()
    ours.train()
    their_loss = theirs.calculate_loss(real_batch)
    our_loss = sum(ours.loss(real_batch, ours()).values()) * len(real_batch["user_id"])
    torch.testing.assert_close(our_loss, their_loss.squeeze(), rtol=1e-5, atol=0)
    our_loss.backward()
    their_loss.backward()
    grads = torch.cat([theirs.user_embedding.weight.grad, theirs.item_embedding.weight.grad])
    torch.testing.assert_close(ours.embedding.grad, grads, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("interval", "same_within_epoch"), [("epoch", True), ("step", False)])
def test_views_are_drawn_anew_as_often_as_asked(tiny_graph, defaults, interval, same_within_epoch):
    config = defaults("SGL", embedding_size=3, drop_ratio=0.5, view_interval=interval)
    model = SGL(config, tiny_graph)

    def first_view():
        return model().extras["views"][0]

    model.train()
    before = first_view()
    model.eval().train()  # as RecBole does for each batch of dynamic negative sampling
    assert torch.equal(first_view(), before) == same_within_epoch
    model.begin_epoch(1)
    assert not torch.equal(first_view(), before)


def test_evaluation_draws_no_views(tiny_graph, defaults):
    model = SGL(defaults("SGL", embedding_size=3), tiny_graph).eval()
    state = torch.get_rng_state()
    assert "views" not in model().extras
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_dropped_contrasts_the_graph_with_itself(tiny_graph, defaults):
    model = SGL(defaults("SGL", embedding_size=3, drop_ratio=0.0), tiny_graph)
    output = model()
    nodes = torch.cat([output.users, output.items])
    for view in output.extras["views"]:
        np.testing.assert_allclose(view.detach(), nodes.detach(), atol=1e-6)
