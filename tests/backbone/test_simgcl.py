import numpy as np
import plain_loops
import pytest
import torch

from recbole_darec.backbone.simgcl import SimGCL


def plain_view(table, matrix, noises, eps, mean):
    layers = [table]
    for noise in noises:
        layer = plain_loops.product(matrix, layers[-1])
        for row in range(len(layer)):
            length = np.sqrt((noise[row] ** 2).sum())
            layer[row] += eps * noise[row] / length * np.sign(layer[row])
        layers.append(layer)
    return sum(layers) / (len(layers) if mean else 1)


@pytest.mark.parametrize("aggregation", ["sum", "mean"])
def test_objective_equals_plain_loops(tiny_graph, tiny_batch, defaults, aggregation):
    config = defaults(
        "SimGCL", embedding_size=3, n_layers=2, eps=0.3, layer_aggregation=aggregation
    )
    model = SimGCL(config, tiny_graph).double()
    graph, n_users, mean = tiny_graph, tiny_graph.n_users, aggregation == "mean"
    matrix = plain_loops.adjacency(plain_loops.pairs_of(graph), n_users, graph.n_items)
    table = model.embedding.detach().numpy()
    torch.manual_seed(5)
    first, second = (
        plain_view(
            table,
            matrix,
            [torch.rand(16, 3, dtype=torch.float64).numpy() for _ in range(2)],
            0.3,
            mean,
        )
        for _ in range(2)
    )
    contrast = 0.0
    for key, rows in (("user_id", slice(0, n_users)), ("item_id", slice(n_users, None))):
        ids, a, b = tiny_batch[key].tolist(), first[rows], second[rows]
        contrast += plain_loops.info_nce(a[ids].tolist(), b[ids].tolist(), b.tolist(), 0.2)
    clean = plain_view(table, matrix, np.ones((2, 16, 3)), 0.0, mean)

    torch.manual_seed(5)
    terms = model.loss(tiny_batch, model())
    assert terms["ssl"].item() == pytest.approx(0.1 * contrast, abs=1e-6)
    bpr = plain_loops.bpr(clean, tiny_batch, n_users, softplus=True)
    assert terms["bpr"].item() == pytest.approx(bpr, abs=1e-6)
    assert terms["reg"].item() == pytest.approx(1e-5 * plain_loops.l2_of_all(model), abs=1e-6)


def test_gradient_of_the_contrast_equals_that_of_layerwise_autograd(
    tiny_graph, tiny_batch, defaults
):
    model = SimGCL(defaults("SimGCL", embedding_size=3, n_layers=2, eps=0.3), tiny_graph).double()
    torch.manual_seed(5)
    model.loss(tiny_batch, model())["ssl"].backward()

    table = model.embedding.detach().clone().requires_grad_()
    matrix = tiny_graph.adjacency.matrix.to_dense()
    torch.manual_seed(5)
    views = []
    for _ in range(2):
        layers = [table]
        for _ in range(2):
            layer = matrix @ layers[-1]
            noise = torch.nn.functional.normalize(torch.rand_like(layer)) * 0.3
            layers.append(layer + noise * layer.sign())
        views.append(sum(layers).split([9, 7]))
    total = 0.0
    for (first, second), ids in zip(
        zip(*views, strict=True), (tiny_batch["user_id"], tiny_batch["item_id"]), strict=True
    ):
        a = torch.nn.functional.normalize(first[ids])
        b = torch.nn.functional.normalize(second)
        logits = a @ b.T / 0.2
        total = total + torch.nn.functional.cross_entropy(logits, ids)
    (0.1 * total).backward()
    torch.testing.assert_close(model.embedding.grad, table.grad)


def test_evaluation_is_without_noise(tiny_graph, defaults):
    model = SimGCL(defaults("SimGCL", embedding_size=3), tiny_graph).eval()
    assert torch.equal(model().users, model().users)
    assert "views" not in model().extras
