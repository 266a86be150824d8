"""Held-out interactions and pairs that did not interact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_darec.inference.history import history_matrix
from recbole_darec.keys import ConfigError

_MAX_POSITIVES = 8_000


@dataclass(frozen=True)
class HeldOutPairs:
    """Held-out interactions and as many pairs that did not interact.

    Attributes:
        users: internal ids, ``(2 m,)``.
        items: internal ids, ``(2 m,)``.
        labels: 1 for interactions, ``(2 m,)``.
    """

    users: np.ndarray
    items: np.ndarray
    labels: np.ndarray

    @classmethod
    def of_test(cls, loaders: Sequence[Any], seed: int = 0) -> HeldOutPairs:
        """Test interactions (at most 8,000), each with one item that the user never had.

        Raises:
            ConfigError: if there is no test part.
        """
        if loaders[2] is None:
            raise ConfigError("the run has no test part, whose pairs the analysis looks at")
        test = loaders[2]._dataset
        generator = np.random.default_rng(seed)
        users = test.inter_feat[test.uid_field].numpy()
        items = test.inter_feat[test.iid_field].numpy()
        chosen = generator.permutation(len(users))[:_MAX_POSITIVES]
        users, items = users[chosen], items[chosen]
        negatives = _unseen(history_matrix(loaders), users, generator)
        labels = np.repeat([1, 0], len(users))
        return cls(np.tile(users, 2), np.concatenate([items, negatives]), labels)


def _unseen(seen: Any, users: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    drawn: np.ndarray = generator.integers(1, seen.shape[1], len(users))
    for _ in range(100):
        clash = np.asarray(seen[users, drawn]).ravel() > 0
        if not clash.any():
            break
        drawn[clash] = generator.integers(1, seen.shape[1], int(clash.sum()))
    return drawn
