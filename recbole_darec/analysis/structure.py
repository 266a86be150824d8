"""How alike the similarity structures of both sides' shared parts are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics.pairwise import cosine_similarity

from recbole_darec.analysis.representations import SHARED, Representations
from recbole_darec.analysis.sampling import sample

_ROWS = 1000
_SAME = 1e-12


def similarity_matrices(
    blocks: Representations, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the shared parts of some rows of users above items, one matrix a side."""
    collaborative, semantic = (cosine_similarity(blocks.joint(name)[chosen]) for name in SHARED)
    return collaborative, semantic


def structure(before: Representations, after: Representations, seed: int = 0) -> pd.DataFrame:
    """Correlation and mean squared difference of both sides' matrices, above the diagonal.

    The correlation is NaN where a matrix is the same everywhere.

    Args:
        before: representations before training.
        after: representations of the same users and items after it.
        seed: of the sample of 1,000 rows.

    Returns:
        Columns ``when``, ``correlation``, ``mean_squared_difference``.
    """
    rows = []
    for when, blocks in (("before training", before), ("after training", after)):
        chosen = sample(np.arange(len(blocks.joint(SHARED[0]))), _ROWS, seed)
        upper = np.triu_indices(len(chosen), 1)
        first, second = (matrix[upper] for matrix in similarity_matrices(blocks, chosen))
        rows.append(
            {
                "when": when,
                "correlation": _correlation(first, second),
                "mean_squared_difference": float(np.mean((first - second) ** 2)),
            }
        )
    return pd.DataFrame(rows)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if min(np.ptp(first), np.ptp(second)) < _SAME:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
