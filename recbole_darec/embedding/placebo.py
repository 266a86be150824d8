"""Vectors that carry no meaning, to find out how much the meaning matters."""

from __future__ import annotations

import numpy as np


def placebo(vectors: np.ndarray, kind: str | None, generator: np.random.Generator) -> np.ndarray:
    """Replace vectors ``(n, d)`` by others of the same shape.

    Args:
        vectors: the real ones.
        kind: ``none`` or None: as they are; ``shuffle``: the same rows in another order;
            ``gaussian``: normal noise with the mean and covariance of the real ones.
        generator: source of randomness.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind in {None, "none"} or not len(vectors):
        return vectors
    if kind == "shuffle":
        return vectors[generator.permutation(len(vectors))]
    if kind != "gaussian":
        raise ValueError(f"placebo must be none, shuffle or gaussian, got {kind!r}")
    exact = vectors.astype(np.float64)
    covariance = np.atleast_2d(np.cov(exact, rowvar=False, ddof=0))
    drawn = generator.multivariate_normal(
        exact.mean(axis=0), covariance, size=len(exact), method="eigh"
    )
    return drawn.astype(np.float32)
