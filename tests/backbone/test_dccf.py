import math

import numpy as np
import plain_loops
import pytest
import torch

from recbole_darec.backbone.dccf import DCCF


def mixed(x, intents):
    out = np.zeros_like(x)
    for row in range(len(x)):
        weights = [math.exp(plain_loops.dot(x[row], intent)) for intent in intents.T]
        for weight, intent in zip(weights, intents.T, strict=True):
            out[row] += weight / sum(weights) * intent
    return out


def adaptive(of, x, pairs, n_users):
    sums, totals = np.zeros_like(x), np.zeros(len(x))
    for u, i in pairs:
        for row, column in ((u, n_users + i), (n_users + i, u)):
            a, b = of[row] / np.linalg.norm(of[row]), of[column] / np.linalg.norm(of[column])
            weight = (plain_loops.dot(a, b) + 1) / 2
            sums[row] += weight * x[column]
            totals[row] += weight
    return np.array([s / t if t > 0 else 0 * s for s, t in zip(sums, totals, strict=True)])


def test_objective_equals_plain_loops(tiny_graph, tiny_batch, defaults):
    config = defaults("DCCF", embedding_size=3, n_layers=2, n_intents=4, ssl_weight=0.5)
    model = DCCF(config, tiny_graph).double()
    pairs, n_users = plain_loops.pairs_of(tiny_graph), tiny_graph.n_users
    matrix = plain_loops.adjacency(pairs, n_users, tiny_graph.n_items)
    layer = final = model.embedding.detach().numpy()
    of_users, of_items = (p.detach().numpy() for p in (model.user_intents, model.item_intents))
    users = sorted(set(tiny_batch["user_id"].tolist()))
    items = [n_users + i for i in sorted(set(tiny_batch["item_id"].tolist()))]
    contrast = 0.0
    for _ in range(2):
        near = plain_loops.product(matrix, layer)
        intents = np.concatenate(
            [mixed(layer[:n_users], of_users), mixed(layer[n_users:], of_items)]
        )
        others = [
            intents,
            adaptive(near, layer, pairs, n_users),
            adaptive(intents, layer, pairs, n_users),
        ]
        for other in others:
            for rows in (users, items):
                anchors, picked = near[rows].tolist(), other[rows].tolist()
                mean = plain_loops.info_nce(anchors, picked, picked, 0.1)
                contrast += mean * len(rows) / len(users)
        layer = layer + near + sum(others)
        final = final + layer

    output = model()
    np.testing.assert_allclose(torch.cat([output.users, output.items]).detach(), final, atol=1e-6)
    terms = model.loss(tiny_batch, output)
    assert terms["ssl"].item() == pytest.approx(0.5 * contrast, abs=1e-6)
    bpr = plain_loops.bpr(final, tiny_batch, n_users, softplus=True)
    assert terms["bpr"].item() == pytest.approx(bpr, abs=1e-6)
    assert terms["reg"].item() == pytest.approx(1e-4 * plain_loops.l2_of_all(model), abs=1e-6)
