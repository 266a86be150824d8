"""How alike the similarity structures of both sides are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics.pairwise import cosine_similarity

from recbole_darec.analysis.representations import SHARED, Representations
from recbole_darec.analysis.sampling import sample

_ROWS = 1000
_SAME = 1e-12


def similarity_matrices(
    blocks: Representations, chosen: np.ndarray, semantic: str = SHARED[1]
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of some rows of users above items: of ``C shared`` and of a semantic block."""
    first, second = (cosine_similarity(blocks.joint(n)[chosen]) for n in (SHARED[0], semantic))
    return first, second


def structure(
    before: Representations,
    after: Representations,
    seed: int = 0,
    semantic: Sequence[str] = SHARED[1:],
) -> pd.DataFrame:
    """Correlation and mean squared difference of both sides' matrices, above the diagonal.

    The correlation is NaN where a matrix is the same everywhere.

    Args:
        before: representations before training.
        after: representations of the same users and items after it.
        seed: of the sample of 1,000 rows.
        semantic: blocks of the semantic side, each of which is set beside ``C shared``.

    Returns:
        Columns ``semantic`` (the block), ``when``, ``correlation``, ``mean_squared_difference``.
    """
    rows = []
    chosen = sample(np.arange(len(after.joint(SHARED[0]))), _ROWS, seed)
    upper = np.triu_indices(len(chosen), 1)
    times = (("before training", before), ("after training", after))
    for name, (when, blocks) in product(semantic, times):
        first, second = (matrix[upper] for matrix in similarity_matrices(blocks, chosen, name))
        rows.append(
            {
                "semantic": name,
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
