import numpy as np
import plain_loops
import pytest
import torch

from recbole_darec.backbone.gccf import GCCF


def test_objective_equals_plain_loops(tiny_graph, tiny_batch, defaults):
    model = GCCF(defaults("GCCF", embedding_size=3, reg_weight=0.1), tiny_graph).double()
    pairs, n_users = plain_loops.pairs_of(tiny_graph), tiny_graph.n_users
    matrix = plain_loops.adjacency(pairs, n_users, tiny_graph.n_items, loops=True)
    layers = [model.embedding.detach().numpy()]
    for _ in range(3):
        layers.append(plain_loops.product(matrix, layers[-1]))
    final = np.concatenate(layers, axis=1)
    output = model()
    np.testing.assert_allclose(torch.cat([output.users, output.items]).detach(), final, atol=1e-6)
    terms = model.loss(tiny_batch, output)
    expected = plain_loops.bpr(final, tiny_batch, n_users, softplus=True)
    assert terms["bpr"].item() == pytest.approx(expected, abs=1e-6)
    assert terms["reg"].item() == pytest.approx(0.1 * plain_loops.l2_of_all(model), abs=1e-6)


def test_representations_are_as_wide_as_all_layers(tiny_graph, defaults):
    model = GCCF(defaults("GCCF", embedding_size=4, n_layers=2), tiny_graph)
    assert model.dim == model().users.shape[1] == model().items.shape[1] == 12
    assert model.ego().shape == (16, 4)
