"""What each user has interacted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

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


def excluded(history: Sequence[sp.csr_matrix], what: str) -> sp.csr_matrix | None:
    """The pairs that are not to be recommended.

    Args:
        history: interactions of the training, the validation and the test part.
        what: ``all`` interactions of the data, those of ``train_valid`` (as RecBole's evaluation
            of the test part), or ``none``.

    Raises:
        ValueError: if ``what`` is another word.
    """
    if what not in EXCLUSIONS:
        raise ValueError(f"exclude is {what!r}; expected one of {', '.join(EXCLUSIONS)}")
    if what == "none":
        return None
    train, valid, test = history
    return train + valid + test if what == "all" else train + valid
