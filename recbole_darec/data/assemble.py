"""From vectors of some rows to a table of all rows, by declared rules."""

from __future__ import annotations

from collections.abc import Sequence
from logging import getLogger

import numpy as np
import scipy.sparse as sp

from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError


def item_means(
    users: np.ndarray, items: np.ndarray, n_users: int, table: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the vectors of each user's items, over those items that have one.

    An item that stands twice in a user's history counts twice.

    Args:
        users: internal user id of each interaction, ``(m,)``.
        items: internal item id of each interaction, ``(m,)``.
        n_users: number of users with padding.
        table: vectors of the items, ``(n_items, d_L)``.
        present: which items have a vector, ``(n_items,)``.

    Returns:
        float32 ``(n_users, d_L)`` and bool ``(n_users,)``: which users have such an item.
    """
    known = present[items]
    users, items = users[known], items[known]
    counts = np.bincount(users, minlength=n_users)
    matrix = sp.csr_matrix(
        (np.ones(len(users)), (users, items)), shape=(n_users, len(table)), dtype=np.float64
    )
    means = (matrix @ table) / np.maximum(counts, 1)[:, None]
    return means.astype(np.float32), counts > 0


def settle_missing(
    table: np.ndarray, present: np.ndarray, policy: str, tokens: Sequence[str], what: str
) -> SideEmbeddings:
    """Apply ``missing_text`` to the rows without a vector, and log the coverage.

    Args:
        table: ``(n, d_L)``; row 0 is padding.
        present: which rows have a vector, ``(n,)``.
        policy: ``error``, ``mask`` (zero row that is not present) or ``mean`` (mean of the
            present rows, present; as ``mask`` where there are none).
        tokens: external id of each row, ``(n,)``.
        what: ``items`` or ``users``, for messages.

    Raises:
        ConfigError: if a row is missing and the policy is ``error``.
    """
    missing = np.flatnonzero(~present[1:]) + 1
    real = len(table) - 1
    getLogger().info(
        f"Side embeddings of {what}: {real - len(missing)} of {real} covered "
        f"({1 - len(missing) / max(real, 1):.2%}), {table.shape[1]} dimensions"
    )
    if not len(missing):
        return SideEmbeddings(table, present)
    examples = ", ".join(str(tokens[row]) for row in missing[:5])
    message = f"{len(missing)} of {real} {what} have no text and no embedding, e.g. ids {examples}"
    if policy == "error":
        raise ConfigError(
            f"{message}; provide them, or set 'missing_text' to 'mask' (leave them out of the "
            "alignment) or 'mean'"
        )
    averaged = policy == "mean" and bool(present.any())
    if averaged:
        table, present = table.copy(), present.copy()
        table[missing], present[missing] = table[present].mean(axis=0), True
    action = "get the mean of the others" if averaged else "are left out of the alignment"
    getLogger().warning(f"{message}: they {action} (missing_text: {policy})")
    return SideEmbeddings(table, present)
