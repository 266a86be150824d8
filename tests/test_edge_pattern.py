import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from recbole_darec.edge_pattern import EdgePattern
from recbole_darec.graph import BipartiteGraph

ROWS = torch.tensor([0, 1, 1, 2, 3, 3, 1])
COLS = torch.tensor([1, 0, 2, 1, 3, 3, 0])
PLACES = [(0, 1), (1, 0), (1, 2), (2, 1), (3, 3)]


@pytest.fixture
def pattern():
    return EdgePattern.of(ROWS, COLS, 5)


def places_of(pattern):
    rows = torch.arange(len(pattern.crow) - 1).repeat_interleave(pattern.crow.diff())
    return list(zip(rows.tolist(), pattern.col.tolist(), strict=True))


def test_places_are_sorted_and_distinct(pattern):
    assert places_of(pattern) == PLACES
    assert [PLACES[i] for i in pattern.transposed] == [(j, i) for i, j in PLACES]


def test_products_equal_plain_loops(pattern):
    a, b, x = torch.randn(3, 5, 2, dtype=torch.float64)
    weights = torch.rand(5, dtype=torch.float64)
    dots = [sum((a[i] * b[j]).tolist()) for i, j in PLACES]
    np.testing.assert_allclose(pattern.edge_dot(a, b), dots)
    sums, totals = np.zeros((5, 2)), np.zeros((5, 1))
    for weight, (i, j) in zip(weights.tolist(), PLACES, strict=True):
        sums[i] += weight * x[j].numpy()
        totals[i] += weight
    np.testing.assert_allclose(pattern.weighted_sum(weights, x), sums)
    means = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
    np.testing.assert_allclose(pattern.weighted_mean(weights, x), means)
    np.testing.assert_allclose(pattern.weighted_mean(weights, x, eps=0.5), sums / (totals + 0.5))


def test_gradients_are_exact(pattern):
    a, b = (torch.randn(5, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weights = torch.rand(5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(pattern.edge_dot, (a, b))
    assert gradcheck(lambda a: pattern.edge_dot(a, a), a)
    assert gradcheck(pattern.weighted_sum, (weights, a))
    assert gradcheck(pattern.weighted_mean, (weights, a))


def test_a_row_without_places_has_mean_and_gradient_zero(pattern):
    x = torch.randn(5, 2, requires_grad=True)
    weights = torch.rand(5, requires_grad=True)
    mean = pattern.weighted_mean(weights, x)
    assert mean[4].eq(0).all()
    mean.square().sum().backward()
    assert x.grad.isfinite().all()
    assert weights.grad.isfinite().all()


def test_pattern_of_a_graph_is_that_of_its_matrix():
    rng = np.random.default_rng(1)
    graph = BipartiteGraph(rng.integers(0, 9, 40), rng.integers(0, 6, 40), 9, 6)
    pattern = graph.pattern()
    dense = graph.adjacency.matrix.to_dense()
    places = places_of(pattern)
    assert places == [tuple(place) for place in dense.nonzero().tolist()]
    assert [places[i] for i in pattern.transposed] == [(j, i) for i, j in places]
    assert torch.equal(pattern.csr(graph.values).to_dense(), dense)


def test_unsymmetric_places_are_refused():
    with pytest.raises(ValueError, match="a place \\(i, j\\) stands without \\(j, i\\)"):
        EdgePattern.of(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 1]), 3)
