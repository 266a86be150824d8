"""Preference centres of both sides' shared parts, matched, and named by the nearest items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from recbole_darec.alignment.matching import match_centers
from recbole_darec.analysis.representations import SHARED, Representations


@dataclass(frozen=True)
class PreferenceCenters:
    """K matched pairs of centres; pair ``i`` is row ``i`` of both sides.

    Attributes:
        collaborative: ``(K, d)``.
        semantic: ``(K, d)``, in the order of the matched collaborative centres.
        sizes: number of users and items in each cluster, ``(2, K)``, collaborative first.
        agreement: share of users and items whose clusters on both sides are a matched pair.
    """

    collaborative: np.ndarray
    semantic: np.ndarray
    sizes: np.ndarray
    agreement: float

    @property
    def agreement_by_chance(self) -> float:
        """What the agreement would be if the clusters of both sides were independent."""
        shares = self.sizes / self.sizes.sum(axis=1, keepdims=True)
        return float(shares.prod(axis=0).sum())

    def similarity(self) -> np.ndarray:
        """Cosine of every collaborative centre with every semantic one, ``(K, K)``."""
        matrix: np.ndarray = normalize(self.collaborative) @ normalize(self.semantic).T
        return matrix


def preference_centers(
    blocks: Representations, count: int, matching: str = "hungarian", seed: int = 0
) -> PreferenceCenters:
    """K-means on users and items together, each side's shared part for itself, then matched.

    Args:
        blocks: representations with shared parts.
        count: number K of centres on each side; fewer where a side has fewer different rows.
        matching: as DaRec's key ``matching``.
        seed: of k-means.

    Raises:
        ValueError: if there are no shared parts.
    """
    if not blocks.disentangled:
        raise ValueError("preference centres need the shared parts of DaRec")
    sides = [blocks.joint(name) for name in SHARED]
    count = min(count, *(len(np.unique(rows, axis=0)) for rows in sides))
    fits = [KMeans(count, n_init=4, random_state=seed).fit(rows) for rows in sides]
    first, second = (torch.from_numpy(fit.cluster_centers_) for fit in fits)
    matched = match_centers(first, second, matching).numpy()
    labels = [fits[0].labels_, np.argsort(matched)[fits[1].labels_]]
    return PreferenceCenters(
        fits[0].cluster_centers_,
        fits[1].cluster_centers_[matched],
        np.stack([np.bincount(label, minlength=len(matched)) for label in labels]),
        float((labels[0] == labels[1]).mean()),
    )


def nearest_items(centers: np.ndarray, items: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Internal ids of the ``k`` items of highest cosine with each centre, ``(K, k)``.

    Args:
        centers: ``(K, d)``.
        items: all items, ``(n_items, d)``.
        rows: internal ids of the items to choose from.
        k: how many.
    """
    cosines = normalize(centers) @ normalize(items[rows]).T
    chosen: np.ndarray = rows[np.argsort(-cosines, axis=1, kind="stable")[:, :k]]
    return chosen
