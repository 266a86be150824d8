"""Transformations of raw semantic embeddings before they are aligned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.decomposition import PCA

from recbole_darec.alignment.checks import require_one_width
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError

Transform = Callable[[np.ndarray], np.ndarray]
TRANSFORMS = ("none", "center", "whiten")
_EQUAL = 1e-6


def embedding_transform(users: SideEmbeddings, items: SideEmbeddings, method: str) -> Transform:
    """A map of raw vectors, fitted to the embeddings of users and items together.

    The statistics are those of all rows that have an embedding.

    Args:
        users: ``(n_users, d_L)``.
        items: ``(n_items, d_L)``.
        method: ``none``; ``center`` subtracts the mean; ``whiten`` projects on the principal
            components that explain 99 % of the variance, each scaled to variance 1.

    Returns:
        A function of ``(m, d_L)`` that gives ``(m, d)``; ``d`` is ``d_L`` unless whitened.

    Raises:
        ValueError: if the method is unknown.
        ConfigError: if the widths differ, or all embeddings are equal where they would be
            centred (but for a sole item's: then nothing can be told apart, nor need be), or too
            large to be whitened.
    """
    if method not in TRANSFORMS:
        raise ValueError(f"transform {method!r} is not one of {', '.join(TRANSFORMS)}")
    require_one_width(users, items)
    rows = np.concatenate([side.table[side.present].cpu().numpy() for side in (users, items)])
    if method == "none" or not len(rows):
        return np.asarray
    mean = rows.mean(0)
    center = partial(np.add, -mean)
    equal = np.ptp(rows, axis=0).max() <= _EQUAL * np.abs(rows).max()
    # Of a sole item with text, users are the very mean.
    if equal and (len(rows) == 1 or int(items.present.sum()) == 1):
        return center
    if equal:
        raise ConfigError(
            f"all {len(rows)} embeddings are equal, so that key 'embedding_transform': '{method}' "
            "leaves nothing but zeros: check the texts or vectors, or use 'none'"
        )
    if method == "center":
        return center
    # Centred before, since the covariance of float32 loses digits to a large mean.
    rows -= mean
    return partial(_whitened, _whitening(rows), mean)


def _whitening(rows: np.ndarray) -> PCA:
    """Fitted to centred rows, in their memory."""
    try:
        return PCA(0.99, whiten=True, svd_solver="covariance_eigh", copy=False).fit(rows)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise ConfigError(
            f"the embeddings cannot be whitened (numbers up to {np.abs(rows).max():.3g}: {error}); "
            "scale them, or set key 'embedding_transform' to 'center' or 'none'"
        ) from error


def _whitened(pca: PCA, mean: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    whitened: np.ndarray = pca.transform(vectors - mean)
    return whitened


def transformed(side: SideEmbeddings, transform: Transform) -> SideEmbeddings:
    """The same embeddings with ``transform`` applied; rows without one stay 0.

    Args:
        side: ``(n, d_L)``.
        transform: what ``embedding_transform`` made.
    """
    present, raw = side.present.cpu().numpy(), side.table.cpu().numpy()
    table = transform(raw)
    if table is raw:
        return side
    table[~present] = 0
    return SideEmbeddings(table, present)
