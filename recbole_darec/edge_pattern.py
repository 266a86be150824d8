"""Products over the edges of a graph whose weights are computed, with gradients of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recbole_darec.csr_product import csr_product


@dataclass(frozen=True)
class EdgePattern:
    """The non-zero places of a square matrix that has a place (j, i) for each place (i, j).

    Attributes:
        crow: CSR row offsets, ``(n + 1,)``.
        col: CSR columns, ``(n_places,)``.
        transposed: number of the place (j, i) for each place (i, j), ``(n_places,)``.
    """

    crow: Tensor
    col: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, rows: Tensor, cols: Tensor, n: int) -> EdgePattern:
        """The pattern of the given places, repeated ones once.

        Args:
            rows: int64 ``(m,)``.
            cols: int64 ``(m,)``.
            n: number of rows and columns.

        Raises:
            ValueError: if some place (i, j) stands without (j, i).
        """
        places = torch.unique(rows * n + cols)
        rows, cols = places // n, places % n
        transposed = torch.searchsorted(places, cols * n + rows).clamp_max(len(places) - 1)
        if not torch.equal(places[transposed], cols * n + rows):
            raise ValueError("the pattern is not symmetric: a place (i, j) stands without (j, i)")
        counts = torch.bincount(rows, minlength=n)
        crow = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(crow.int(), cols.int(), transposed)

    def edge_dot(self, a: Tensor, b: Tensor) -> Tensor:
        """``a_i . b_j`` at each place (i, j): ``(n, d), (n, d) -> (n_places,)``."""
        return _edge_dot(a, b, self)

    def weighted_sum(self, weights: Tensor, x: Tensor) -> Tensor:
        """``sum_j w_ij x_j`` for each i: ``(n_places,), (n, d) -> (n, d)``."""
        return _weighted_sum(weights, x, self)

    def weighted_mean(self, weights: Tensor, x: Tensor, eps: float = 0.0) -> Tensor:
        """``sum_j w_ij x_j / (sum_j w_ij + eps)`` for each i; 0 for a row without places."""
        sums = self.weighted_sum(weights, torch.cat([x, x.new_ones(len(x), 1)], dim=1))
        totals = sums[:, -1:] + eps
        return sums[:, :-1] / totals.masked_fill(totals == 0, 1)

    def csr(self, values: Tensor) -> Tensor:
        """The matrix with these values ``(n_places,)``."""
        n = self.crow.numel() - 1
        return torch.sparse_csr_tensor(self.crow, self.col, values, (n, n), check_invariants=False)


def _at_least_single(x: Tensor) -> Tensor:
    # Under autocast inputs may be of half precision, for which sparse kernels do not exist.
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _EdgeDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, pattern: EdgePattern) -> Tensor:
        ctx.pattern = pattern
        a, b = _at_least_single(a), _at_least_single(b)
        ctx.save_for_backward(a, b)
        zeros = pattern.csr(a.new_zeros(pattern.col.numel()))
        with torch.autocast(a.device.type, enabled=False):
            dots: Tensor = torch.sparse.sampled_addmm(zeros, a, b.T, beta=0.0).values()
        return dots

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        a, b = ctx.saved_tensors
        pattern: EdgePattern = ctx.pattern
        turned = grads[0][pattern.transposed]
        return pattern.weighted_sum(grads[0], b), pattern.weighted_sum(turned, a), None


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, x: Tensor, pattern: EdgePattern) -> Tensor:
        ctx.pattern = pattern
        weights, x = _at_least_single(weights), _at_least_single(x)
        ctx.save_for_backward(weights, x)
        return csr_product(pattern.csr(weights), x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, x = ctx.saved_tensors
        pattern: EdgePattern = ctx.pattern
        turned = weights[pattern.transposed]
        return pattern.edge_dot(grads[0], x), pattern.weighted_sum(turned, grads[0]), None


_edge_dot: Callable[[Tensor, Tensor, EdgePattern], Tensor] = _EdgeDot.apply
_weighted_sum: Callable[[Tensor, Tensor, EdgePattern], Tensor] = _WeightedSum.apply
