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
        ConfigError: if the widths differ, all embeddings are equal (but for a sole item's, which
            may be centred), or fewer than two rows are there to be whitened.
    """
    if method not in TRANSFORMS:
        raise ValueError(f"transform {method!r} is not one of {', '.join(TRANSFORMS)}")
    require_one_width(users, items)
    rows = np.concatenate([side.table[side.present].cpu().numpy() for side in (users, items)])
    if method == "whiten" and len(rows) < 2:
        raise ConfigError(
            f"key 'embedding_transform' is 'whiten', but only {len(rows)} rows have an embedding; "
            "use 'none'"
        )
    if method == "none" or not len(rows):
        return np.asarray
    # Of a sole item with text, users are the very mean: nothing can be told apart, nor need be.
    sole = method == "center" and int(items.present.sum()) == 1
    if not sole and np.ptp(rows, axis=0).max() <= _EQUAL * np.abs(rows).max():
        raise ConfigError(
            f"all {len(rows)} embeddings are equal, so that key 'embedding_transform': '{method}' "
            "leaves nothing but zeros: check the texts or vectors, or use 'none'"
        )
    if method == "center":
        return partial(np.add, -rows.mean(0))
    pca: Transform = PCA(0.99, whiten=True, svd_solver="full").fit(rows).transform
    return pca


def transformed(side: SideEmbeddings, transform: Transform) -> SideEmbeddings:
    """The same embeddings with ``transform`` applied; rows without one stay 0.

    Args:
        side: ``(n, d_L)``.
        transform: what ``embedding_transform`` made.
    """
    present, raw = side.present.cpu().numpy(), side.table.cpu().numpy()
    table = transform(raw)
    return side if table is raw else SideEmbeddings(np.where(present[:, None], table, 0), present)
