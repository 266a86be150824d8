"""Preference centres of both sides' shared parts, matched, and named by the nearest items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from recbole_darec.alignment.matching import match_centers
from recbole_darec.analysis.representations import RAW, SHARED, Representations


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


def trained_centers(
    blocks: Representations, config: Mapping[str, Any], seed: int = 0
) -> PreferenceCenters:
    """The centres that the run's ``n_centers``, ``matching`` and ``anchor`` speak of."""
    clustered = RAW[1] if config["anchor"] == "raw" else SHARED[1]
    return preference_centers(blocks, config["n_centers"], config["matching"], seed, clustered)


def preference_centers(
    blocks: Representations,
    count: int,
    matching: str = "hungarian",
    seed: int = 0,
    clustered: str = SHARED[1],
) -> PreferenceCenters:
    """K-means on users and items together, each side for itself; means of shared parts, matched.

    Args:
        blocks: representations with shared parts.
        count: number K of centres on each side; fewer where a side has fewer different rows.
        matching: as DaRec's key ``matching``.
        seed: of k-means.
        clustered: block on whose rows the semantic clusters are found; DaRec's ``anchor: raw``
            finds them on ``L raw``.

    Raises:
        ValueError: if there are no shared parts.
    """
    if not blocks.disentangled:
        raise ValueError("preference centres need the shared parts of DaRec")
    sides = [blocks.joint(name) for name in (SHARED[0], clustered)]
    count = min(count, *(len(np.unique(rows, axis=0)) for rows in sides))
    found = [KMeans(count, n_init=4, random_state=seed).fit_predict(rows) for rows in sides]
    first, second = (
        _means(blocks.joint(name), labels, count)
        for name, labels in zip(SHARED, found, strict=True)
    )
    pair = torch.from_numpy(first), torch.from_numpy(second)
    matched = match_centers(*pair, matching).numpy()
    labels = [found[0], np.argsort(matched)[found[1]]]
    return PreferenceCenters(
        first,
        second[matched],
        np.stack([np.bincount(label, minlength=len(matched)) for label in labels]),
        float((labels[0] == labels[1]).mean()),
    )


def _means(rows: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    return np.stack([rows[labels == label].mean(axis=0) for label in range(count)])


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
