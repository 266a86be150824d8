"""Mutual information of two blocks of rows."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma
from sklearn.decomposition import PCA
from sklearn.neighbors import KDTree, NearestNeighbors

from recbole_darec.analysis.checks import paired


def knn_mutual_information(
    first: np.ndarray, second: np.ndarray, components: int = 3, neighbors: int = 5, seed: int = 0
) -> float:
    """Mutual information of the leading principal components of two blocks, in nats.

    Kraskov, Stögbauer and Grassberger, *Estimating mutual information*, Phys. Rev. E 69 (2004),
    first estimator, which is nearly unbiased at independence (so it may be slightly negative) and
    too low for strong dependence in many dimensions. scikit-learn has it for single columns only.
    What the left-out components share is not seen.

    Args:
        first: ``(n, p)``.
        second: ``(n, q)``, rows correspond.
        components: principal components kept of each block.
        neighbors: k of the estimator.
        seed: of the noise of 1e-10 that parts equal rows.

    Raises:
        ValueError: if the rows do not correspond, or there are not more rows than neighbors.
    """
    first, second = paired(first, second)
    if not 0 < neighbors < len(first):
        raise ValueError(f"neighbors must be in 1 .. {len(first) - 1}, got {neighbors}")
    generator = np.random.default_rng(seed)
    x, y = (_scores(block, components, generator) for block in (first, second))
    nearest = NearestNeighbors(n_neighbors=neighbors, metric="chebyshev").fit(np.hstack([x, y]))
    radius = np.nextafter(nearest.kneighbors()[0][:, -1], 0)
    counts = [
        KDTree(part, metric="chebyshev").query_radius(part, radius, count_only=True)
        for part in (x, y)
    ]
    inside = sum(digamma(count).mean() for count in counts)
    return float(digamma(neighbors) + digamma(len(x)) - inside)


def _scores(block: np.ndarray, components: int, generator: np.random.Generator) -> np.ndarray:
    block = block - block.mean(axis=0)
    if block.any():
        block = PCA(min(components, *block.shape), random_state=0).fit_transform(block)
        block /= np.maximum(block.std(axis=0), np.finfo(float).tiny)
    noisy: np.ndarray = block + 1e-10 * generator.normal(size=block.shape)
    return noisy
