"""How the rows of one block lie: effective rank, spread over directions, collapse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.preprocessing import normalize

from recbole_darec.alignment.uniformity import UniformityLoss
from recbole_darec.analysis.checks import constant, matrix, paired

CONE = 0.95
FEW_DIMENSIONS = 0.05


@dataclass(frozen=True)
class Geometry:
    """Shape of a block of rows.

    Attributes:
        dimensions: width d.
        effective_rank: of the centred rows, in [1, d], 0 for a point; see ``effective_rank``.
        mean_cosine: mean cosine of pairs of different rows; near 1: all point the same way.
        uniformity: Wang and Isola's with t = 2, ``<= 0``; the lower, the more evenly spread.
    """

    dimensions: int
    effective_rank: float
    mean_cosine: float
    uniformity: float

    @property
    def verdict(self) -> str:
        """Whether the block has collapsed, in words.

        The bounds (mean cosine above 0.95; effective rank below 5 % of the width, or 1.5) are
        this package's own.
        """
        rank = f"about {self.effective_rank:.1f} of {self.dimensions} dimensions are in use"
        if self.effective_rank == 0:
            return "collapsed to a point: all rows are equal"
        if self.mean_cosine > CONE:
            return f"collapsed to a cone: rows point the same way (cosine {self.mean_cosine:.3f})"
        if self.effective_rank < max(1.5, FEW_DIMENSIONS * self.dimensions):
            return f"collapsed to a few dimensions: {rank}"
        return f"no collapse: {rank}"


def geometry(rows: np.ndarray) -> Geometry:
    """Shape of a block ``(n, d)``.

    Raises:
        ValueError: if it is no finite matrix of at least two rows.
    """
    rows = matrix(rows)
    unit = normalize(rows)
    n = len(unit)
    mean_cosine = float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (n * (n - 1)))
    uniformity = float(UniformityLoss(2.0)(torch.from_numpy(rows)))
    return Geometry(rows.shape[1], effective_rank(rows), mean_cosine, uniformity)


def effective_rank(rows: np.ndarray) -> float:
    """Exponential of the entropy of the normalised singular values of the centred rows.

    Roy and Vetterli, *The effective rank*, EUSIPCO 2007. Between 1 (a line) and
    ``min(n - 1, d)``; 0 for a single point, which their definition leaves out.

    Raises:
        ValueError: if it is no finite matrix of at least two rows.
    """
    rows = matrix(rows)
    if constant(rows):
        return 0.0
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def pair_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance of corresponding rows on the unit sphere, in [0, 4].

    Wang and Isola's alignment (ICML 2020) with exponent 2, for instance of users and the items
    that they interacted with.

    Raises:
        ValueError: if the rows do not correspond or differ in width.
    """
    first, second = paired(first, second)
    if first.shape != second.shape:
        raise ValueError(f"widths differ: {first.shape[1]} and {second.shape[1]}")
    return float(np.square(normalize(first) - normalize(second)).sum(axis=1).mean())
