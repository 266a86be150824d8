"""What each user has interacted with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from recbole_darec.embedding.dataset_ids import interaction_pieces

EXCLUSIONS = ("all", "train_valid", "none")


def history_matrix(loaders: Sequence[Any]) -> sp.csr_matrix:
    """Interactions of the given parts of a split.

    Args:
        loaders: RecBole's dataloaders; None stands for an empty part.

    Returns:
        ``(n_users, n_items)``, 1 where a user has interacted with an item.
    """
    datasets = [loader._dataset for loader in loaders if loader is not None]
    first = datasets[0]
    users = np.concatenate([d.inter_feat[d.uid_field].numpy() for d in datasets])
    items = np.concatenate([d.inter_feat[d.iid_field].numpy() for d in datasets])
    shape = (first.user_num, first.item_num)
    matrix = sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.data[:] = 1
    return matrix


def history_parts(loaders: tuple[Any, Any, Any]) -> tuple[sp.csr_matrix, ...]:
    """Interactions of the training, the validation and the test part, each as above."""
    empty = sp.csr_matrix(history_matrix(loaders[:1]).shape, dtype=np.float32)
    return tuple(empty if loader is None else history_matrix([loader]) for loader in loaders)


def dropped_pairs(
    config: Mapping[str, Any], ids: tuple[np.ndarray, np.ndarray], kept: sp.csr_matrix
) -> sp.csr_matrix:
    """Pairs of a known user and a known item that ``val_interval`` took out of the data.

    RecBole's other filters take out users and items, no pairs of those that stay.

    Args:
        config: of the run.
        ids: external ids by internal id, padding first, of users ``(n_users,)`` and of items
            ``(n_items,)``.
        kept: ``(n_users, n_items)``, the pairs that are in the data.

    Returns:
        ``(n_users, n_items)``, not 0 where a pair was dropped.

    Raises:
        ConfigError: if the file of interactions cannot be read.
    """
    if not config["val_interval"] or config["benchmark_filename"]:
        return sp.csr_matrix(kept.shape, dtype=bool)
    index = [pd.Index(side) for side in ids]
    pieces = [
        np.stack([index[0].get_indexer(piece["user"]), index[1].get_indexer(piece["item"])])
        for piece in interaction_pieces(config, ["user", "item"])
    ]
    pairs = np.concatenate(pieces, axis=1)
    pairs = pairs[:, (pairs > 0).all(axis=0)]
    return sp.csr_matrix((np.ones(pairs.shape[1], bool), pairs), kept.shape) > (kept != 0)


def excluded(history: Sequence[sp.csr_matrix], what: str) -> sp.csr_matrix | None:
    """The pairs that are not to be recommended.

    Args:
        history: interactions of the training, the validation and the test part, and those of
            ``dropped_pairs``.
        what: ``all`` interactions of the data, those of ``train_valid`` (as RecBole's evaluation
            of the test part), or ``none``.

    Raises:
        ValueError: if ``what`` is another word.
    """
    if what not in EXCLUSIONS:
        raise ValueError(f"exclude is {what!r}; expected one of {', '.join(EXCLUSIONS)}")
    if what == "none":
        return None
    return sum(history[1:] if what == "all" else history[1:2], start=history[0])
