"""Contrast of a batch's nodes with all nodes, without keeping the matrix of their products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from torch.autograd.function import once_differentiable

from recbole_darec.gather import row_dot, rows_of

# Products that a thread holds at a time: what stays in a CPU's cache, and what keeps a GPU busy.
_BLOCK_ON_CPU, _BLOCK_ON_GPU = 2**19, 2**27
# Anchors of a thread: whole tiles of the kernels of dense products, and as many at least as make
# up for reading the candidates of a large graph, which no cache holds.
_TILE, _LEAST_ANCHORS = 16, 64
# Numbers in the candidates' gradients, which each thread sums by itself; beyond it all work on one.
_LARGEST_SUMS = 2**26
_LOG2_E = math.log2(math.e)
_SAFE_POWER = 64


def _blocks(anchors: Tensor, candidates: Tensor) -> tuple[int, int, int]:
    """Numbers of blocks, of the threads that have a part of each, and of a part's anchors."""
    on_cpu = anchors.device.type == "cpu"
    threads = torch.get_num_threads() if on_cpu else 1
    if threads * candidates.numel() > _LARGEST_SUMS:
        threads = 1
    held = (_BLOCK_ON_CPU if on_cpu else _BLOCK_ON_GPU) // len(candidates)
    most = max(_LEAST_ANCHORS, held - held % _TILE)
    blocks = math.ceil(len(anchors) / (threads * most))
    rows = math.ceil(len(anchors) / (threads * blocks))
    return blocks, threads, math.ceil(rows / _TILE) * _TILE


class _WeightedLogSumExp(torch.autograd.Function):
    """``sum_i w_i log sum_j exp(a_i . c_j)``; the gradients are formed with the value.

    Keeping the ``(m, n)`` products for a backward pass would cost several times as much as
    the products themselves, since they do not fit a cache. A thread has the products of its own
    anchors from the first to the last use: batched products and sums over the batch's matrices are
    spread by matrix. With each kernel spread by itself, cores read what others have written, and
    some processes take twice as long (docs/performance.md).
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, weights: Tensor) -> Tensor:
        blocks, threads, rows = _blocks(anchors, candidates)
        missing = blocks * threads * rows - len(anchors)
        # An anchor is a column: the long side first is up to a quarter faster.
        parts = F.pad(anchors, (0, 0, 0, missing)).view(blocks, threads, rows, -1).mT.contiguous()
        weights = F.pad(weights, (0, missing)).view(blocks, threads, 1, rows)
        repeated = candidates.expand(threads, -1, -1)
        grad_parts, grad_candidates = torch.empty_like(parts), torch.zeros_like(repeated)
        # One buffer for all blocks: fresh pages would cost as much as a product.
        products = anchors.new_empty(threads, len(candidates), rows)
        sums, tops = torch.empty_like(weights), torch.zeros_like(weights)
        with torch.autocast(anchors.device.type, enabled=False):
            # Powers of 2 are three times as fast as those of e.
            binary = parts * _LOG2_E
            # Cosines over a usual temperature cannot overflow, so that no maximum need be found.
            norms = binary.norm(dim=2).amax(), candidates.norm(dim=1).amax()
            large = bool(norms[0] * norms[1] > _SAFE_POWER)
            for block, part in enumerate(parts):
                torch.bmm(repeated, binary[block], out=products)
                if large:
                    products -= torch.amax(products, 1, keepdim=True, out=tops[block])
                torch.sum(products.exp2_(), 1, keepdim=True, out=sums[block])
                torch.bmm(repeated.mT, products, out=grad_parts[block])
                scaled = part * (weights[block] / sums[block])
                grad_candidates.baddbmm_(products, scaled.mT)
            grad_parts *= weights / sums
        grad_anchors = grad_parts.mT.reshape(-1, anchors.shape[1])[: len(anchors)]
        ctx.save_for_backward(grad_anchors, grad_candidates.sum(0))
        return (weights * (sums.log2() + tops)).sum() / _LOG2_E

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_anchors, grad_candidates = ctx.saved_tensors
        return grad_anchors * grads[0], grad_candidates * grads[0], None


_weighted_log_sum_exp: Callable[[Tensor, Tensor, Tensor], Tensor] = _WeightedLogSumExp.apply


def mean_log_sum_exp(anchors: Tensor, candidates: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean over rows i of ``log sum_j exp(anchors_i . candidates_j)``.

    Args:
        anchors: ``(m, d)``.
        candidates: ``(n, d)``.
        weights: weight of each anchor ``(m,)``, all 1 by default.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if anchors.ndim != 2 or candidates.ndim != 2 or anchors.shape[1] != candidates.shape[1]:
        raise ValueError(
            f"anchors {tuple(anchors.shape)} and candidates {tuple(candidates.shape)} must be "
            "matrices with the same number of columns"
        )
    # Under autocast either may be of half precision, in which sums of exponentials are lost.
    common = torch.promote_types(anchors.dtype, candidates.dtype)
    common = torch.promote_types(common, torch.float32)
    anchors, candidates = anchors.to(common), candidates.to(common)
    weights = anchors.new_ones(len(anchors)) if weights is None else weights.to(common)
    if weights.shape != anchors.shape[:1]:
        raise ValueError(f"{len(anchors)} anchors but weights of shape {tuple(weights.shape)}")
    return _weighted_log_sum_exp(anchors, candidates, weights / weights.sum())


def info_nce(
    anchors: Tensor,
    positives: Tensor,
    candidates: Tensor,
    temperature: float,
    weights: Tensor | None = None,
) -> Tensor:
    """InfoNCE of cosine similarities, weighted mean over the anchors.

    Args:
        anchors: ``(m, d)``.
        positives: the positive of each anchor, ``(m, d)``.
        candidates: what the anchors are to be told from, positives included, ``(n, d)``.
        temperature: > 0.
        weights: weight of each anchor ``(m,)``, all 1 by default.

    Raises:
        ValueError: if the temperature is not positive or the shapes do not fit each other.

    Source: van den Oord et al., 2018, eq. 4; as in RLMRec's ``cal_infonce_loss``.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; expected a number > 0")
    if anchors.shape != positives.shape:
        raise ValueError(
            f"anchors {tuple(anchors.shape)} and positives {tuple(positives.shape)} differ"
        )
    anchors = F.normalize(anchors) / temperature
    alike = row_dot(anchors, F.normalize(positives))
    weights = torch.ones_like(alike) if weights is None else weights.to(alike)
    negative = mean_log_sum_exp(anchors, F.normalize(candidates), weights)
    return negative - (weights * alike).sum() / weights.sum()


def node_info_nce(first: Tensor, second: Tensor, nodes: Tensor, temperature: float) -> Tensor:
    """InfoNCE between two views of a batch's nodes against all nodes of the second view.

    A node that the batch holds k times counts k times but is computed once.

    Args:
        first: one view of all nodes, ``(n, d)``.
        second: another view of them, ``(n, d)``.
        nodes: ids in the batch, ``(b,)``.
        temperature: > 0.
    """
    distinct, counts = torch.unique(nodes, return_counts=True)
    anchors, positives = rows_of(first, distinct), rows_of(second, distinct)
    return info_nce(anchors, positives, second, temperature, counts)
