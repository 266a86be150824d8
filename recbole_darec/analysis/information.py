"""What each side says of held-out interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recbole_darec.analysis.held_out_pairs import HeldOutPairs
from recbole_darec.inference.history import history_matrix

INTERACTIONS, TEXT, BOTH = "interactions", "text", "interactions + text"
_WIDTH = 64
FOLDS = 5
_RESAMPLES = 400
Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Information:
    """Lower bounds of what sources say of interaction.

    Attributes:
        table: columns ``source``, ``nats``, ``error`` (standard error).
        draws: bootstrap draws of the nats by source, of the same users for all sources.
    """

    table: pd.DataFrame
    draws: dict[str, np.ndarray]


def interaction_features(loaders: Sequence[Any]) -> Rows:
    """The collaborative side before any training: truncated SVD of the training matrix."""
    matrix = history_matrix(loaders[:1])
    width = min(_WIDTH, min(matrix.shape) - 1)
    svd = TruncatedSVD(width, random_state=0).fit(matrix)
    scale = np.sqrt(np.maximum(svd.singular_values_, 1e-12))
    return svd.transform(matrix) / scale, svd.components_.T * scale


def reduced(users: np.ndarray, items: np.ndarray) -> Rows:
    """Both kinds of rows about the items' mean, on the items' leading 64 principal axes."""
    with np.errstate(invalid="ignore"):  # equal rows have no variance of which to take shares
        pca = PCA(min(_WIDTH, *items[1:].shape), random_state=0).fit(items[1:])
    return pca.transform(users), pca.transform(items)


def information(
    sources: Mapping[str, Sequence[Rows]],
    popularity: np.ndarray,
    pairs: HeldOutPairs,
    seed: int = 0,
) -> Information:
    """Lower bounds, in nats, of the information that sources carry about interaction.

    ``I(D; Y) >= log 2 - cross-entropy``: a logistic regression on the products of the user's and
    the item's coordinates predicts whether a pair interacted, for users that it was not fitted
    on. Errors are standard errors over a bootstrap of users.

    Args:
        sources: by name, the rows of users and items whose products are the features; several
            where sources are joined.
        popularity: training interactions of each item; alone it is the first source.
        pairs: held-out pairs.
        seed: of the bootstrap.
    """
    features = {"popularity": np.log1p(popularity)[pairs.items][:, None]}
    for name, parts in sources.items():
        features[name] = np.hstack([u[pairs.users] * i[pairs.items] for u, i in parts])
    losses = {name: _losses(x, pairs) for name, x in features.items()}
    counts = _resampled_counts(pairs.users, seed)
    draws = {n: np.log(2) - _weighted(loss, pairs.users, counts) for n, loss in losses.items()}
    table = pd.DataFrame(
        {
            "source": list(losses),
            "nats": [np.log(2) - loss.mean() for loss in losses.values()],
            "error": [draw.std() for draw in draws.values()],
        }
    )
    return Information(table, draws)


def _losses(features: np.ndarray, pairs: HeldOutPairs) -> np.ndarray:
    """Cross-entropy of each pair under a probe fitted on other users."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    predicted = cross_val_predict(
        probe,
        features,
        pairs.labels,
        groups=pairs.users,
        cv=GroupKFold(FOLDS),
        method="predict_proba",
    )
    chosen = predicted[np.arange(len(predicted)), pairs.labels]
    losses: np.ndarray = -np.log(np.maximum(chosen, 1e-12))
    return losses


def _resampled_counts(users: np.ndarray, seed: int) -> np.ndarray:
    there = np.unique(users)
    drawn = np.random.default_rng(seed).choice(there, (_RESAMPLES, len(there)))
    return np.stack([np.bincount(row, minlength=there[-1] + 1) for row in drawn])


def _weighted(losses: np.ndarray, users: np.ndarray, counts: np.ndarray) -> np.ndarray:
    sums = np.bincount(users, losses, minlength=counts.shape[1])
    sizes = np.bincount(users, minlength=counts.shape[1])
    means: np.ndarray = (counts @ sums) / (counts @ sizes)
    return means
