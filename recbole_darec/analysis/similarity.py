"""How alike two blocks of rows of the same users and items are: linear CKA, cross-correlation."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from recbole_darec.analysis.checks import constant, paired


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear centred kernel alignment of ``(n, p)`` and ``(n, q)``, in [0, 1].

    1 for two blocks that a rotation, a shift and one scale make equal; Kornblith et al.,
    *Similarity of Neural Network Representations Revisited*, ICML 2019. With few rows and many
    dimensions it is well above 0 for independent blocks too. NaN where a block is constant.

    Raises:
        ValueError: if the rows do not correspond.
    """
    blocks = paired(first, second)
    if any(map(constant, blocks)):
        return float("nan")
    first, second = (block - block.mean(axis=0) for block in blocks)
    norms = [float(np.linalg.norm(block.T @ block)) for block in (first, second)]
    return float(np.linalg.norm(first.T @ second) ** 2 / np.prod(norms))


def cross_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Root mean square of the correlations of every column of one with every one of the other.

    The Frobenius norm of the cross-covariance of standardised columns, divided by ``sqrt(p q)``.
    Constant columns correlate with nothing.

    Raises:
        ValueError: if the rows do not correspond.
    """
    first, second = (StandardScaler().fit_transform(block) for block in paired(first, second))
    return float(np.sqrt(np.mean((first.T @ second / len(first)) ** 2)))
