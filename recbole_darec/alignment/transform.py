"""Transformations of raw semantic embeddings before they are aligned."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from recbole_darec.alignment.checks import require_one_width
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError

TRANSFORMS = ("none", "center", "whiten")


def transform_embeddings(
    users: SideEmbeddings, items: SideEmbeddings, method: str
) -> tuple[SideEmbeddings, SideEmbeddings]:
    """Centre or whiten the embeddings of users and items together.

    The statistics are those of all rows that have an embedding. Rows without one stay 0.

    Args:
        users: ``(n_users, d_L)``.
        items: ``(n_items, d_L)``.
        method: ``none``; ``center`` subtracts the mean; ``whiten`` projects on the principal
            components that explain 99 % of the variance, each scaled to variance 1.

    Raises:
        ValueError: if the method is unknown.
        ConfigError: if the widths differ, or fewer than two rows are there to be whitened.
    """
    if method not in TRANSFORMS:
        raise ValueError(f"transform {method!r} is not one of {', '.join(TRANSFORMS)}")
    require_one_width(users, items)
    if method == "none":
        return users, items
    sides = (users, items)
    rows = np.concatenate([side.table[side.present].cpu().numpy() for side in sides])
    if method == "whiten" and len(rows) < 2:
        raise ConfigError(
            f"key 'embedding_transform' is 'whiten', but only {len(rows)} rows have an embedding; "
            "use 'none'"
        )
    if not len(rows):
        return users, items
    mean = rows.mean(0)
    pca = PCA(0.99, whiten=True, svd_solver="full").fit(rows) if method == "whiten" else None
    made = []
    for side in sides:
        present = side.present.cpu().numpy()
        own = side.table[side.present].cpu().numpy()
        own = own - mean if pca is None or not len(own) else pca.transform(own)
        table = np.zeros((len(side), own.shape[1]), dtype=np.float32)
        table[present] = own
        made.append(SideEmbeddings(table, present))
    return made[0], made[1]
