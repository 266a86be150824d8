import math

import numpy as np
import plain_loops
import pytest
import torch

from recbole_darec.backbone.autocf import AutoCF
from recbole_darec.backbone.edge_attention import EdgeAttention
from recbole_darec.edge_pattern import EdgePattern
from recbole_darec.keys import ConfigError


@pytest.fixture
def small(defaults):
    def build(graph, **keys):
        sizes = {"embedding_size": 4, "n_heads": 2, "n_seeds": 1, "mask_depth": 1, **keys}
        return AutoCF(defaults("AutoCF", **sizes), graph).double()

    return build


def places_of(pattern):
    rows = torch.arange(len(pattern.crow) - 1).repeat_interleave(pattern.crow.diff())
    return list(zip(rows.tolist(), pattern.col.tolist(), strict=True))


def plain_attention(layer, x, places):
    out = np.zeros_like(x)
    width = x.shape[1] // layer.n_heads
    q, k, v = (x @ p.detach().numpy() for p in (layer.query, layer.key, layer.value))
    for head in range(layer.n_heads):
        part = slice(head * width, (head + 1) * width)
        for row in range(len(x)):
            columns = [c for r, c in places if r == row]
            logits = [plain_loops.dot(q[row, part], k[c, part]) for c in columns]
            weights = [math.exp(min(10.0, max(-10.0, logit))) for logit in logits]
            for c, weight in zip(columns, weights, strict=True):
                out[row, part] += weight / (sum(weights) + 1e-8) * v[c, part]
    return out


def test_attention_equals_plain_loops_and_clamps():
    layer = EdgeAttention(4, 2).double()
    x = 8 * torch.randn(5, 4, dtype=torch.float64)
    rows, cols = torch.tensor([[0, 1, 1, 2, 3, 0, 2], [1, 0, 2, 1, 3, 2, 0]])
    pattern = EdgePattern.of(rows, cols, 5)
    expected = plain_attention(layer, x.numpy(), places_of(pattern))
    np.testing.assert_allclose(layer(x, pattern).detach(), expected, atol=1e-9)


def encoded(model, table, matrix, places):
    layers = [table]
    for _ in range(model.n_layers):
        layers.append(plain_loops.product(matrix, layers[-1]))
    for attention in model.attention:
        layers.append(plain_attention(attention, layers[-1], places))
    return sum(layers)


@pytest.mark.parametrize("n_attention_layers", [0, 1, 2])
def test_evaluation_encodes_and_decodes_the_graph(tiny_graph, small, n_attention_layers):
    model = small(tiny_graph, n_attention_layers=n_attention_layers).eval()
    assert len(model.attention) == n_attention_layers
    pairs, n_users = plain_loops.pairs_of(tiny_graph), tiny_graph.n_users
    matrix = plain_loops.adjacency(pairs, n_users, tiny_graph.n_items)
    places = [(u, n_users + i) for u, i in pairs] + [(n_users + i, u) for u, i in pairs]
    expected = encoded(model, model.embedding.detach().numpy(), matrix, places)
    output = model()
    nodes = torch.cat([output.users, output.items]).detach()
    np.testing.assert_allclose(nodes, expected, atol=1e-6)


def test_objective_equals_plain_loops(tiny_graph, tiny_batch, small):
    model = small(tiny_graph, ssl_reg=2.0, reg_weight=0.1)
    output = model()
    encoder, decoder = model._view
    table, n_users = model.embedding.detach().numpy(), tiny_graph.n_users
    final = encoded(model, table, encoder.matrix.to_dense().numpy(), places_of(decoder))
    users, items = final[:n_users].tolist(), final[n_users:].tolist()
    batch_users, positives = tiny_batch["user_id"].tolist(), tiny_batch["item_id"].tolist()
    rec = -sum(
        plain_loops.dot(users[u], items[i]) for u, i in zip(batch_users, positives, strict=True)
    )
    within = plain_loops.mean_log_sum_exp([users[u] for u in set(batch_users)], users)
    within += plain_loops.mean_log_sum_exp([items[i] for i in set(positives)], items)
    across = plain_loops.mean_log_sum_exp([users[u] for u in batch_users], items)
    terms = model.loss(tiny_batch, output)
    assert terms["rec"].item() == pytest.approx(rec / len(positives), abs=1e-6)
    assert terms["ssl"].item() == pytest.approx(2 * within + across, abs=1e-6)
    assert terms["reg"].item() == pytest.approx(0.1 * plain_loops.l2_of_all(model), abs=1e-6)


def test_seed_scores_equal_plain_loops_and_the_best_are_the_seeds(tiny_graph, tiny_batch, small):
    model = small(tiny_graph, n_seeds=2)
    table, n_users = model.embedding.detach().numpy(), tiny_graph.n_users
    ones = np.zeros((16, 16))
    for u, i in plain_loops.pairs_of(tiny_graph):
        ones[u, n_users + i] = ones[n_users + i, u] = 1
    order = ones.sum(1, keepdims=True)
    first = plain_loops.product(ones, table) - table
    second = plain_loops.product(ones, first) - first - order * table
    n_second = plain_loops.product(ones, order) - order - order
    around = (first + second) / (order + n_second + 1e-8)
    torch.manual_seed(9)
    exponential = torch.empty(16, dtype=torch.float64).exponential_().tolist()
    scores = []
    for row in range(16):
        norms = np.linalg.norm(around[row]) * np.linalg.norm(table[row])
        cosine = plain_loops.dot(around[row], table[row]) / norms if norms else 0.0
        scores.append(-math.log(1 + math.exp(-cosine)) - math.log(exponential[row]))
    torch.manual_seed(9)
    output = model()
    np.testing.assert_allclose(output.extras["seed_scores"].detach(), scores, atol=1e-6)
    best = sorted(range(16), key=lambda row: -scores[row])[:2]
    left = [(u, i) for u, i in plain_loops.pairs_of(tiny_graph) if not {u, n_users + i} & {*best}]
    assert 0 < len(left) < tiny_graph.n_edges
    expected = plain_loops.adjacency(left, n_users, tiny_graph.n_items)
    np.testing.assert_allclose(model._view[0].matrix.to_dense(), expected, atol=1e-7)
    infomax = model.loss(tiny_batch, output)["infomax"].item()
    assert infomax == pytest.approx(-sum(scores) / 16, abs=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_edges_within_the_depth_of_a_seed_leave_the_encoder(tiny_graph, small, depth):
    model = small(tiny_graph, mask_depth=depth, random_node_rate=0.0)
    pairs, n_users = plain_loops.pairs_of(tiny_graph), tiny_graph.n_users
    seed = 3
    masked, left = {seed}, [(u, n_users + i) for u, i in pairs]
    for hop in range(depth):
        touched = [edge for edge in left if masked & set(edge)]
        left = [edge for edge in left if not masked & set(edge)]
        if hop < depth - 1:
            masked |= {node for edge in touched for node in edge}
    encoder, decoder = model._masked_view(torch.tensor([seed]))
    expected = plain_loops.adjacency([(u, j - n_users) for u, j in left], n_users, 7)
    np.testing.assert_allclose(encoder.matrix.to_dense(), expected, atol=1e-7)
    places = set(places_of(decoder))
    kept = {(u, j) for u, j in left} | {(j, u) for u, j in left} | {(k, k) for k in range(16)}
    assert kept <= places
    assert all(a in masked and b in masked for a, b in places - kept)


def test_the_decoder_gets_random_pairs_of_masked_nodes_in_both_directions(tiny_graph, small):
    """Two an edge, among the seed and as many nodes, drawn with replacement, as there are."""
    model = small(tiny_graph, random_node_rate=1.0)
    torch.manual_seed(4)
    _, decoder = model._masked_view(torch.tensor([3]))
    n_users, n_edges = tiny_graph.n_users, tiny_graph.n_edges
    torch.manual_seed(4)
    nodes = sorted({3, *torch.randint(16, (16,)).tolist()})
    drawn = torch.randint(len(nodes), (2, 2 * n_edges)).T.tolist()
    half = {(nodes[a], nodes[b]) for a, b in drawn}
    kept = [(u, n_users + i) for u, i in plain_loops.pairs_of(tiny_graph)]
    half |= {edge for edge in kept if 3 not in edge}
    expected = half | {(b, a) for a, b in half} | {(node, node) for node in range(16)}
    assert set(places_of(decoder)) == expected
    assert len(expected) == len(decoder.col)


def test_a_mask_that_leaves_no_edge_is_told(tiny_graph, small, caplog):
    model = small(tiny_graph, n_seeds=16)
    model.train()
    model()
    model.train()
    model()
    assert [record.message for record in caplog.records] == [
        "AutoCF masks every edge of the graph: the encoder learns nothing from it. "
        "Lower n_seeds (16) or mask_depth (1)"
    ]


def test_view_lasts_the_asked_number_of_steps_and_an_epoch_begins_anew(tiny_graph, small):
    model = small(tiny_graph, view_steps=2)
    model.train()
    drawn = ["seed_scores" in model().extras for _ in range(5)]
    assert drawn == [True, False, True, False, True]
    model.eval().train()  # as RecBole does for each batch of dynamic negative sampling
    assert "seed_scores" not in model().extras
    model()
    model.begin_epoch(1)
    assert "seed_scores" in model().extras


def test_heads_that_do_not_divide_the_embedding_are_refused(tiny_graph, small):
    with pytest.raises(ConfigError, match="'n_heads' is 3; it must divide embedding_size \\(4\\)"):
        small(tiny_graph, n_heads=3)
    with pytest.raises(ValueError, match="n_heads \\(3\\) must divide the embedding size \\(4\\)"):
        EdgeAttention(4, 3)
