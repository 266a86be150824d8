"""Sparse times dense, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec import csr_product as csr_product_module
from recbole_darec.csr_product import csr_product

ENTRIES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.floats(-2, 2, width=32)), max_size=30
)


def csr(entries, dtype=torch.float64, index=torch.int32):
    dense = torch.zeros(5, 7, dtype=dtype)
    for row, column, value in entries:
        dense[row, column] += value
    sparse = dense.to_sparse_csr()
    parts = (sparse.crow_indices().to(index), sparse.col_indices().to(index), sparse.values())
    return dense, torch.sparse_csr_tensor(*parts, (5, 7), check_invariants=False)


@settings(max_examples=40, deadline=None)
@given(ENTRIES, st.integers(1, 9), st.sampled_from([torch.int32, torch.int64]))
def test_equals_plain_loops(entries, width, index):
    dense, matrix = csr(entries, index=index)
    x = torch.randn(7, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.zeros((5, width))
    for row in range(5):
        for column in range(7):
            expected[row] += dense[row, column].item() * x[column].numpy()
    np.testing.assert_allclose(csr_product(matrix, x), expected, atol=1e-12)


@pytest.mark.parametrize("width", [1, 8, 32, 33, 64, 65])
def test_single_precision_of_every_width(width):
    generator = torch.Generator().manual_seed(1)
    dense, matrix = csr([(0, 1, 0.5), (0, 3, -1.0), (2, 0, 2.0), (4, 6, 1.0)], torch.float32)
    x = torch.randn(7, width, generator=generator)
    torch.testing.assert_close(csr_product(matrix, x), dense @ x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("width", [33, 64, 65, 96])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiles_of_columns_change_no_bit(width, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    dense = torch.from_numpy(rng.normal(size=(300, 200)) * (rng.random((300, 200)) < 0.2)).to(dtype)
    matrix = dense.to_sparse_csr()
    x = torch.randn(200, width, dtype=dtype, generator=torch.Generator().manual_seed(0))
    parts = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    whole = csr_product_module.weighted_bags(*parts, x)
    calls = []
    monkeypatch.setattr(csr_product_module, "_TILED_BYTES", 1)
    monkeypatch.setattr(
        csr_product_module,
        "weighted_bags",
        lambda *args, bags=csr_product_module.weighted_bags: calls.append(1) or bags(*args),
    )
    assert torch.equal(csr_product(matrix, x), whole)
    assert len(calls) == -(-width // 32)


def test_other_dtypes_and_strides_become_those_of_the_matrix():
    dense, matrix = csr([(0, 1, 0.5), (3, 2, 4.0)], torch.float32)
    x = torch.arange(14.0).reshape(2, 7).T
    assert torch.equal(csr_product(matrix, x), dense @ x)
    found = csr_product(matrix, x.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, dense @ x)
    column = x[:, :1].expand(7, 3)
    assert torch.equal(csr_product(matrix, column), dense @ column)
