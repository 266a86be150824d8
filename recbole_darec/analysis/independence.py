"""Kernel test of independence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform

from recbole_darec.analysis.checks import constant, paired


class IndependenceTest(NamedTuple):
    """Result of a permutation test.

    Attributes:
        statistic: HSIC normalised to [0, 1] (1: the kernels are equal).
        p_value: share of permutations with a statistic at least as large, itself included.
    """

    statistic: float
    p_value: float


def hsic_test(
    first: np.ndarray, second: np.ndarray, permutations: int = 199, seed: int = 0
) -> IndependenceTest:
    """Hilbert-Schmidt independence criterion with permutation p-value.

    Gaussian kernels with the median distance as width; Gretton et al., *A Kernel Statistical Test
    of Independence*, NeurIPS 2007. The statistic is divided by the geometric mean of each block's
    HSIC with itself. Time and memory grow with the square of the rows.

    Args:
        first: ``(n, p)``.
        second: ``(n, q)``, rows correspond.
        permutations: how many orders of the second block's rows to compare with.
        seed: of the permutations.

    Returns:
        NaN for both where a block is constant.

    Raises:
        ValueError: if the rows do not correspond, or there are no permutations.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}")
    blocks = paired(first, second)
    if any(map(constant, blocks)):
        return IndependenceTest(float("nan"), float("nan"))
    kernels = [_centered_kernel(block) for block in blocks]
    generator = np.random.default_rng(seed)
    observed = float((kernels[0] * kernels[1]).sum())
    larger = 0
    for _ in range(permutations):
        order = generator.permutation(len(kernels[0]))
        larger += float((kernels[0] * kernels[1][np.ix_(order, order)]).sum()) >= observed
    norm = float(np.prod([np.linalg.norm(kernel) for kernel in kernels]))
    return IndependenceTest(observed / norm, (1 + larger) / (1 + permutations))


def _centered_kernel(rows: np.ndarray) -> np.ndarray:
    squared = pdist(rows, "sqeuclidean")
    kernel = np.exp(-squareform(squared) / np.median(squared[squared > 0]))
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    centered: np.ndarray = kernel
    return centered
