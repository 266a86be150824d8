import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from recbole_darec.graph import BipartiteGraph

USERS = np.array([1, 1, 2, 3, 3, 3, 1])
ITEMS = np.array([1, 2, 1, 0, 1, 3, 1])
N_USERS, N_ITEMS = 5, 4


@pytest.fixture
def graph():
    return BipartiteGraph(USERS, ITEMS, N_USERS, N_ITEMS)


def dense(users, items, n_users, n_items, kept=None, weights_from=None):
    """Plain-loop normalised adjacency of the kept pairs, degrees from ``weights_from``."""
    pairs = sorted(set(zip(users.tolist(), items.tolist(), strict=True)))
    kept = pairs if kept is None else kept
    counted = kept if weights_from is None else weights_from
    matrix = np.zeros((n_users + n_items,) * 2)
    for u, i in kept:
        du = sum(1 for a, _ in counted if a == u)
        di = sum(1 for _, b in counted if b == i)
        matrix[u, n_users + i] = matrix[n_users + i, u] = 1 / np.sqrt(du * di)
    return matrix


def pairs_of(graph, adjacency):
    block = adjacency.matrix.to_dense()[: graph.n_users, graph.n_users :]
    return [tuple(pair) for pair in block.nonzero().tolist()]


def all_pairs():
    return sorted(set(zip(USERS.tolist(), ITEMS.tolist(), strict=True)))


def test_adjacency_equals_plain_loops(graph):
    expected = dense(USERS, ITEMS, N_USERS, N_ITEMS)
    np.testing.assert_allclose(graph.adjacency.matrix.to_dense(), expected, atol=1e-7)
    assert graph.n_edges == 6
    assert graph.n_nodes == 9


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(1, 4),
)
def test_any_graph_equals_plain_loops(pairs, n_layers):
    users, items = np.array(pairs).T
    graph = BipartiteGraph(users, items, 7, 5).double()
    matrix = torch.from_numpy(dense(users, items, 7, 5))
    x = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(graph.propagate(x), matrix @ x, atol=1e-6, rtol=0)
    layers = [torch.linalg.matrix_power(matrix, k) @ x for k in range(n_layers + 1)]
    torch.testing.assert_close(graph.smooth(x, n_layers), sum(layers), atol=1e-6, rtol=0)
    quarter = graph.smooth(x, n_layers, 0.25)
    torch.testing.assert_close(quarter, sum(layers) / 4, atol=1e-6, rtol=0)


def test_edges_are_the_distinct_pairs_by_user_then_item(graph):
    users, items = graph.edges()
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == all_pairs()


def test_gradients_are_exact(graph):
    graph = graph.double()
    x = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    for function in (graph.propagate, lambda x: graph.smooth(x, 3)):
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)


def test_gradient_through_a_view_is_that_of_the_view(graph):
    graph = graph.double()
    adjacency = graph.drop_edges(0.5, renormalise=True, generator=torch.Generator().manual_seed(1))
    x = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: adjacency.smooth(x, 2), x)
    assert gradcheck(lambda x: adjacency.smooth(x, 2, 0.25), x)


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_view_keeps_exactly_the_kept_edges(graph, renormalise, seed):
    kept = torch.rand(6, generator=torch.Generator().manual_seed(seed)) < 0.5
    pairs = [pair for pair, keep in zip(all_pairs(), kept.tolist(), strict=True) if keep]
    counted = None if renormalise else all_pairs()
    expected = dense(USERS, ITEMS, N_USERS, N_ITEMS, pairs, counted)
    view = graph.view(kept, renormalise).matrix.to_dense()
    np.testing.assert_allclose(view, expected, atol=1e-7)


def test_dropped_nodes_lose_all_edges_and_only_they(graph):
    generator = torch.Generator().manual_seed(3)
    kept = torch.rand(9, generator=torch.Generator().manual_seed(3)) >= 0.4
    assert not kept.all()
    adjacency = graph.drop_nodes(0.4, renormalise=True, generator=generator)
    expected = [(u, i) for u, i in all_pairs() if kept[u] and kept[N_USERS + i]]
    assert pairs_of(graph, adjacency) == expected


def test_edge_drop_keeps_the_asked_share():
    rng = np.random.default_rng(0)
    graph = BipartiteGraph(rng.integers(0, 300, 20_000), rng.integers(0, 200, 20_000), 300, 200)
    adjacency = graph.drop_edges(0.3, renormalise=False, generator=torch.Generator().manual_seed(0))
    share = (adjacency.matrix.values() != 0).double().mean().item()
    assert abs(share - 0.7) < 4 * np.sqrt(0.3 * 0.7 / graph.n_edges)


def test_same_generator_state_gives_the_same_view(graph):
    first, second = (
        graph.drop_edges(0.5, False, torch.Generator().manual_seed(5)).matrix.values()
        for _ in range(2)
    )
    assert torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(graph.drop_edges(0.5, False).matrix.values(), first)


def test_nothing_dropped_is_the_whole_graph(graph):
    for adjacency in (graph.drop_edges(0, renormalise=True), graph.drop_nodes(0, renormalise=True)):
        torch.testing.assert_close(
            adjacency.matrix.to_dense(), graph.adjacency.matrix.to_dense(), rtol=0, atol=1e-7
        )


def test_products_repeat_to_the_bit():
    rng = np.random.default_rng(0)
    graph = BipartiteGraph(rng.integers(0, 900, 30_000), rng.integers(0, 700, 30_000), 900, 700)
    x = torch.randn(1600, 16)
    first = graph.smooth(x, 3)
    assert all(torch.equal(graph.smooth(x, 3), first) for _ in range(5))


def test_products_are_float32_under_autocast(graph):
    x = torch.randn(9, 4)
    expected = graph.propagate(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(graph.propagate(x), expected)
        assert graph.smooth(x.bfloat16(), 2).dtype == torch.float32


def test_isolated_nodes_receive_nothing_and_keep_their_own(graph):
    x = torch.randn(9, 2)
    assert graph.propagate(x)[[0, 4]].eq(0).all()
    assert torch.equal(graph.smooth(x, 3)[[0, 4]], x[[0, 4]])


def test_one_user_one_item():
    graph = BipartiteGraph(np.array([0]), np.array([0]), 1, 1)
    x = torch.tensor([[1.0], [2.0]])
    assert graph.propagate(x).tolist() == [[2.0], [1.0]]
    assert graph.smooth(x, 2).tolist() == [[4.0], [5.0]]


def test_graph_is_in_no_checkpoint_but_moves_and_copies(graph):
    assert graph.state_dict() == {}
    assert graph.double().adjacency.matrix.dtype == torch.float64
    assert torch.equal(copy.deepcopy(graph).values, graph.values)


@pytest.mark.parametrize(
    ("users", "items", "n_users", "n_items", "message"),
    [
        ([], [], 2, 2, "at least one training interaction"),
        ([0, 1], [0], 2, 2, "2 user ids but 1 item ids"),
        ([0, 2], [0, 0], 2, 2, r"user ids lie in \[0, 2\]; expected \[0, 1\]"),
        ([0, 1], [-1, 0], 2, 2, r"item ids lie in \[-1, 0\]; expected \[0, 1\]"),
        ([0.0], [0], 2, 2, "user ids are of type float64; give integers"),
        ([0], [0], 0, 1, "n_users is 0"),
        ([[0]], [[0]], 1, 1, r"user ids have shape \(1, 1\)"),
    ],
)
def test_bad_interactions_are_refused(users, items, n_users, n_items, message):
    with pytest.raises(ValueError, match=message):
        BipartiteGraph(np.array(users), np.array(items), n_users, n_items)


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_bad_ratio_is_refused(graph, ratio):
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\)"):
        graph.drop_edges(ratio, renormalise=True)
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\)"):
        graph.drop_nodes(ratio, renormalise=True)
