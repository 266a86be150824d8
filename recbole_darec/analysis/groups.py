"""Groups of users by activity and of items by popularity, and the share of each in a metric."""

from __future__ import annotations

import numpy as np

from recbole_darec.user_values import UserValues, top_k_values

USER_GROUPS = ("few", "some", "many")
ITEM_GROUPS = ("head", "mid", "tail", "cold")


def user_groups(interactions: np.ndarray) -> np.ndarray:
    """Thirds of the users by training interactions; equal numbers are never parted.

    Args:
        interactions: training interactions of each user, ``(n_users,)``.

    Returns:
        One of ``USER_GROUPS`` for each user, ``(n_users,)``.
    """
    bounds = np.quantile(interactions, [1 / 3, 2 / 3])
    return np.array(USER_GROUPS)[np.searchsorted(bounds, interactions, side="left")]


def item_groups(
    interactions: np.ndarray, cold: int = 5, head: float = 0.2, tail: float = 0.5
) -> np.ndarray:
    """Items by training interactions; equal numbers are never parted.

    Args:
        interactions: training interactions of each item, ``(n_items,)``, row 0 = padding.
        cold: items with at most so many are cold, whatever their rank.
        head: about this share of the items, the most popular ones, is the head.
        tail: about this share, the least popular ones, is the tail.

    Returns:
        One of ``ITEM_GROUPS`` for each item, ``(n_items,)``.

    Raises:
        ValueError: if the shares are not in (0, 1) or exceed 1 together, or ``cold`` is negative.
    """
    if not (0 < head < 1 and 0 < tail < 1 and head + tail <= 1):
        raise ValueError(f"head and tail must be shares that sum to at most 1, got {head}, {tail}")
    if cold < 0:
        raise ValueError(f"cold must be a number of interactions >= 0, got {cold}")
    low, high = np.quantile(interactions[1:], [tail, 1 - head])
    groups = np.where(interactions > high, "head", np.where(interactions > low, "mid", "tail"))
    groups[interactions <= cold] = "cold"
    return groups


def contributions(users: UserValues, groups: np.ndarray) -> dict[str, np.ndarray]:
    """What the hits on each group of items contribute to each user's metrics.

    A hit contributes by how much it raises the metric when the hits above it are there already.
    So the contributions of the groups sum to the metric, for every metric of RecBole.

    Args:
        users: values of one run.
        groups: group of each item, ``(n_items,)``.

    Returns:
        By group, contributions ``(n_users, n_metrics)`` in the order of ``users.metrics``. Groups
        without an item are there too, so that means over several splits have the same terms.
    """
    groups_of_lists = groups[users.items]
    parts = {name: np.zeros_like(users.values) for name in ITEM_GROUPS}
    for column, metric in enumerate(users.metrics):
        name, _, cut_off = str(metric).partition("@")
        gains = _gains(name, users.hits[:, : int(cut_off)], users.positives)
        for group in ITEM_GROUPS:
            inside = groups_of_lists[:, : int(cut_off)] == group
            parts[group][:, column] = (gains * inside).sum(axis=1)
    return parts


def _gains(name: str, hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """By how much the item at each rank raises the metric at the last rank, ``(n_users, k)``."""
    k = hits.shape[1]
    values = np.zeros((len(hits), k + 1))
    for rank in range(k):
        so_far = np.where(np.arange(k) <= rank, hits, False)
        values[:, rank + 1] = top_k_values(name, so_far, positives)[:, -1]
    return np.diff(values, axis=1)
