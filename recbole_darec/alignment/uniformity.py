"""L_uni of DaRec."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_matrix


class _LogSumExpOfPairs(torch.autograd.Function):
    """``log sum_{i != j} exp(s <u_i, u_j>)``; its gradient ``2 s E u / sum E`` is formed with it.

    Autograd would pass over the ``(n, n)`` matrix E five times more, and take two matrix products
    where its symmetry asks for one.
    """

    @staticmethod
    def forward(ctx: Any, unit: Tensor, scale: float) -> Tensor:
        products = ((scale * unit) @ unit.T).fill_diagonal_(-math.inf)
        top = products.max()
        products.sub_(top).exp_()
        total = products.sum()
        ctx.save_for_backward((products @ unit).mul_(2 * scale / total))
        return total.log() + top

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * grads[0], None


_log_sum_exp_of_pairs: Callable[[Tensor, float], Tensor] = _LogSumExpOfPairs.apply


class UniformityLoss(nn.Module):
    """Log of the mean Gaussian potential between all pairs of different rows.

    ``log E_{i != j} exp(-t ||g(x_i) - g(x_j)||^2)`` with g = l2-normalisation (Wang and Isola,
    ICML 2020). DaRec (arXiv 2408.08231), L_uni, has t = 2 and is the sum of this over the
    collaborative and the semantic side; its G is not defined in the text available to us.

    Args:
        t: sharpness of the potential.

    Raises:
        ValueError: if ``t`` is not positive.
    """

    def __init__(self, t: float = 2.0) -> None:
        super().__init__()
        if not t > 0:
            raise ValueError(f"t must be positive, got {t}")
        self.t = t

    def forward(self, rows: Tensor) -> Tensor:
        """Loss of one side; 0 where there are fewer than two rows.

        Args:
            rows: ``(n, d)``, none of them 0.

        Raises:
            ValueError: if ``rows`` is not a matrix.
        """
        require_matrix("rows", rows)
        n = len(rows)
        if n < 2:
            return rows.sum() * 0.0
        unit = F.normalize(rows, dim=1)
        # On the unit sphere ||x - y||^2 = 2 - 2 <x, y>; a row and itself are no pair.
        total = _log_sum_exp_of_pairs(unit, 2 * self.t)
        return total - 2 * self.t - math.log(n * (n - 1))
