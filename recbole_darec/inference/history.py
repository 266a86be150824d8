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


def excluded(loaders: tuple[Any, Any, Any], what: str) -> sp.csr_matrix | None:
    """The pairs that are not to be recommended.

    Args:
        loaders: of training, validation and test data.
        what: ``all`` interactions of the data, those of ``train_valid`` (as RecBole's evaluation
            of the test part), or ``none``.

    Raises:
        ValueError: if ``what`` is another word.
    """
    if what not in EXCLUSIONS:
        raise ValueError(f"exclude is {what!r}; expected one of {', '.join(EXCLUSIONS)}")
    if what == "none":
        return None
    return history_matrix(loaders if what == "all" else loaders[:2])
