"""A sparse matrix by blocks, against plain loops and against the matrix as a whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from recbole_darec import graph as graph_module
from recbole_darec.blocked_csr import BlockedCsr
from recbole_darec.csr_product import csr_product
from recbole_darec.graph import BipartiteGraph

N = 7
ENTRIES = st.dictionaries(
    st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), st.floats(-2, 2, width=32), max_size=30
)


def csr(entries):
    places = sorted(entries)
    crow = np.searchsorted([row for row, _ in places], np.arange(N + 1)).astype(np.int32)
    col = torch.tensor([column for _, column in places], dtype=torch.int32)
    values = torch.tensor([entries[place] for place in places], dtype=torch.float64)
    return torch.from_numpy(crow), col, values


@settings(max_examples=60, deadline=None)
@given(ENTRIES, st.integers(1, 8))
def test_equals_plain_loops(entries, side):
    x = torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.zeros((N, 3))
    for (row, column), value in entries.items():
        expected[row] += value * x[column].numpy()
    blocked = BlockedCsr.of(*csr(entries), side=side)
    np.testing.assert_allclose(blocked.product(x), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(ENTRIES, st.integers(1, 8))
def test_entries_stand_by_block_then_row_then_column(entries, side):
    crow, col, values = csr(entries)
    blocked = BlockedCsr.of(crow, col, values, side)
    rows = torch.arange(N).repeat_interleave(crow.diff())[blocked.order].tolist()
    places = list(zip(rows, blocked.col.tolist(), strict=True))
    assert places == sorted(entries, key=lambda p: (p[0] // side, p[1] // side, *p))
    assert blocked.values.tolist() == [entries[place] for place in places]


def test_other_values_at_the_same_places():
    rng = np.random.default_rng(0)
    crow, col, values = csr({(i, j): rng.normal() for i in range(N) for j in range(0, N, 2)})
    other = torch.randn_like(values)
    x = torch.randn(N, 5, dtype=torch.float64)
    found = BlockedCsr.of(crow, col, values, 3).with_values(other).product(x)
    assert torch.equal(found, BlockedCsr.of(crow, col, other, 3).product(x))


@pytest.fixture
def large(monkeypatch):
    """A graph that counts as large."""
    monkeypatch.setattr(graph_module, "_LARGE", 10)
    rng = np.random.default_rng(1)
    return BipartiteGraph(rng.integers(0, 30, 200), rng.integers(0, 20, 200), 30, 20)


def test_a_large_graph_multiplies_by_blocks_what_a_small_one_multiplies_whole(large):
    x = torch.randn(50, 40)
    views = [large.adjacency, large.drop_edges(0.4, True), large.drop_edges(0.4, False)]
    for view in views:
        assert view.blocked is not None
        expected = csr_product(view.matrix, x)
        torch.testing.assert_close(view.propagate(x), expected, atol=1e-6, rtol=0)
    assert torch.equal(large.smooth(x, 3), large.smooth(x, 3))
    assert large.adjacency.blocked is large.adjacency.blocked
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert large.propagate(x.bfloat16()).dtype == torch.float32


def test_gradients_through_blocks_are_exact(large):
    graph = large.double()
    assert graph.adjacency.blocked.values.dtype == torch.float64
    x = torch.randn(50, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(graph.propagate, x)
    assert gradcheck(lambda x: graph.drop_edges(0.3, True, seeded()).smooth(x, 2, 0.5), x)


@pytest.mark.parametrize("n_rows", [0, 1, 4, 50])
def test_few_rows_are_multiplied_at_the_cost_of_their_edges(large, n_rows, monkeypatch):
    kept = torch.randperm(50, generator=seeded())[:n_rows]
    x = torch.zeros(50, 40).index_copy(0, kept, torch.randn(n_rows, 40, generator=seeded()))
    rows = []
    monkeypatch.setattr(
        graph_module,
        "product_of_few_rows",
        lambda *args, product=graph_module.product_of_few_rows: (
            rows.append(args[2].tolist()) or product(*args)
        ),
    )
    for view in (large.adjacency, large.drop_edges(0.4, True, seeded())):
        expected = view.matrix.to_dense() @ x
        torch.testing.assert_close(view.product_of_few_rows(x), expected, atol=1e-6, rtol=0)
    assert rows == ([sorted(kept.tolist())] * 2 if n_rows < 50 else [])


def test_a_batchs_gradient_is_smoothed_by_its_own_rows_first(large, monkeypatch):
    graph, x = large.double(), torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    products = []
    monkeypatch.setattr(
        BlockedCsr,
        "product",
        lambda *args, product=BlockedCsr.product: products.append(1) or product(*args),
    )
    smoothed = graph.smooth(x, 3, 0.25)
    assert len(products) == 3
    upstream = torch.zeros(50, 3, dtype=torch.float64)
    upstream[[2, 40]] = torch.randn(2, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad(smoothed, x, upstream)
    assert len(products) == 5
    dense = graph.adjacency.matrix.to_dense()
    powers = [torch.linalg.matrix_power(dense, k) for k in range(4)]
    torch.testing.assert_close(found, 0.25 * sum(powers) @ upstream)


@pytest.mark.parametrize("n_rows", [0, 1, 4, 50])
def test_the_last_layer_goes_to_the_rows_that_are_read_where_they_are_few(large, n_rows):
    graph, x = large.double(), torch.randn(50, 3, dtype=torch.float64)
    rows = torch.randperm(50, generator=seeded())[:n_rows]
    kept = torch.zeros(50, dtype=torch.bool).index_fill(0, rows, True)
    for view in (graph.adjacency, graph.drop_edges(0.4, True, seeded())):
        dense = view.matrix.to_dense()
        for n_layers in (1, 3):
            powers = [torch.linalg.matrix_power(dense, k) for k in range(n_layers + 1)]
            expected = 0.25 * sum(powers) @ x
            found = view.smooth(x, n_layers, 0.25, rows)
            torch.testing.assert_close(found[kept], expected[kept])
            assert bool(found[~kept].any()) == (n_rows == 50 and bool((~kept).any()))


def test_the_gradient_of_the_rows_that_are_read_is_that_of_the_whole(large):
    graph, x = large.double(), torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([40, 2])
    assert gradcheck(lambda x: graph.adjacency.smooth(x, 2, 0.5, rows)[rows], x)
    upstream = torch.randn(2, 3, dtype=torch.float64)
    partly, whole = (
        torch.autograd.grad(graph.adjacency.smooth(x, 2, 0.5, r)[rows], x, upstream)[0]
        for r in (rows, None)
    )
    assert torch.equal(partly, whole)


def test_a_small_graph_smooths_all_rows():
    graph = BipartiteGraph(np.array([0, 1]), np.array([0, 1]), 2, 2)
    x = torch.randn(4, 3)
    assert not graph.is_large
    assert torch.equal(graph.adjacency.smooth(x, 2, 1.0, torch.tensor([0])), graph.smooth(x, 2))


def test_rows_too_small_to_square_still_count(large):
    x = torch.zeros(50, 2)
    x[7] = 1e-30
    expected = csr_product(large.adjacency.matrix, x)
    assert torch.equal(large.adjacency.product_of_few_rows(x), expected)
    assert expected.any()


def seeded():
    return torch.Generator().manual_seed(3)
