"""Adaptive matching of the two sides' preference centres."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from recbole_darec.alignment.checks import require_same_shape

MATCHINGS = ("hungarian", "greedy")


@torch.no_grad()
def match_centers(collaborative: Tensor, semantic: Tensor, method: str = "hungarian") -> Tensor:
    """A bijection between two sets of K centres by their Euclidean distances.

    Args:
        collaborative: ``(K, d)``.
        semantic: ``(K, d)``.
        method: ``hungarian`` has the least sum of distances; ``greedy`` takes the nearest pair,
            then the nearest of what is left, and so on.

    Returns:
        ``(K,)`` int64: the semantic centre of each collaborative centre, a permutation.

    Raises:
        ValueError: if the shapes differ or the method is unknown.
    """
    require_same_shape(("collaborative", collaborative), ("semantic", semantic))
    if method not in MATCHINGS:
        raise ValueError(f"matching {method!r} is not one of {', '.join(MATCHINGS)}")
    distances = torch.cdist(collaborative.double(), semantic.double()).cpu()
    if method == "hungarian":
        matched = torch.from_numpy(linear_sum_assignment(distances.numpy())[1])
    else:
        matched = _greedy(distances)
    return matched.to(collaborative.device)


def _greedy(distances: Tensor) -> Tensor:
    count = len(distances)
    matched = torch.empty(count, dtype=torch.int64)
    for _ in range(count):
        row, column = divmod(int(distances.argmin()), count)
        matched[row] = column
        distances[row, :] = torch.inf
        distances[:, column] = torch.inf
    return matched
