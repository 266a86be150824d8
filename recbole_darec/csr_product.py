"""The product of a sparse matrix and a dense one: what a graph model spends its time on."""

from __future__ import annotations

import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

# From this size on a table is copied out and multiplied some columns at a time, so that more of
# its rows stay in the cache: 20 % faster at 10,000 to 50,000 rows of 64 columns.
_TILED_BYTES, _TILE = 2**21, 32


def csr_product(matrix: Tensor, x: Tensor) -> Tensor:
    """``matrix @ x`` in the dtype of the matrix, without gradients, under autocast too.

    On a CPU each row is a weighted bag of rows of ``x``: PyTorch's kernel for bags of embeddings
    prefetches them and is 2 to 3 times as fast as that for sparse products. Either adds in the
    same order every time.

    Args:
        matrix: sparse CSR ``(m, n)``.
        x: ``(n, d)``.
    """
    # Sparse CSR products have no half-precision kernel on a CPU.
    with torch.autocast(x.device.type, enabled=False), torch.no_grad():
        x = x.to(matrix.dtype)
        if x.device.type != "cpu":
            return torch.mm(matrix, x)
        parts = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        if x.shape[1] <= _TILE or x.nbytes < _TILED_BYTES:
            return weighted_bags(*parts, x)
        out = x.new_empty(len(matrix), x.shape[1])
        for start in range(0, x.shape[1], _TILE):
            tile = slice(start, start + _TILE)
            out[:, tile] = weighted_bags(*parts, x[:, tile])
        return out


def product_of_few_rows(matrix: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """``matrix @ x`` for a symmetric matrix on a CPU and an ``x`` most of whose rows are 0.

    By the symmetry the columns that count are the rows of the same numbers, which CSR has at hand.

    Args:
        matrix: symmetric sparse CSR ``(n, n)``.
        x: ``(n, d)``.
        rows: ascending numbers of the rows of ``x`` that are not 0.
    """
    columns = _rows_of_matrix(matrix, rows).T.tocsr()
    return _scipy_product(columns, x.index_select(0, rows).to(matrix.dtype))


def product_at_rows(matrix: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """Some rows of ``matrix @ x`` on a CPU, ``(k, d)``.

    Args:
        matrix: sparse CSR ``(m, n)``.
        x: ``(n, d)``.
        rows: numbers of the rows, ``(k,)``.
    """
    return _scipy_product(_rows_of_matrix(matrix, rows), x.to(matrix.dtype))


def _rows_of_matrix(matrix: Tensor, rows: Tensor) -> sp.csr_matrix:
    parts = matrix.values(), matrix.col_indices(), matrix.crow_indices()
    whole = sp.csr_matrix(tuple(part.numpy() for part in parts), shape=matrix.shape)
    return whole[rows.numpy()]


def _scipy_product(matrix: sp.csr_matrix, x: Tensor) -> Tensor:
    parts = (matrix.indptr, matrix.indices, matrix.data)
    offsets, columns, weights = map(torch.from_numpy, parts)
    with torch.autocast("cpu", enabled=False), torch.no_grad():
        return weighted_bags(offsets, columns, weights, x)


def weighted_bags(offsets: Tensor, rows: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """Weighted sums of consecutive bags of rows of ``x``.

    Args:
        offsets: where each bag begins in ``rows``, and its end, ``(m + 1,)``.
        rows: ``(k,)``.
        weights: ``(k,)``.
        x: ``(n, d)``.
    """
    return F.embedding_bag(
        rows,
        x.contiguous(),
        offsets,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )
