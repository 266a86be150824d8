"""The scores of a model that is loaded, with the ids, titles and histories of its data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recbole_darec.inference.history import dropped_pairs, history_parts
from recbole_darec.inference.saved_scorer import SavedScorer
from recbole_darec.inference.scoring import full_sort_scores
from recbole_darec.inference.titles import item_titles
from recbole_darec.inference.vectors import scored_vectors


class ModelScorer:
    """What ``SavedScorer`` offers, from any model of RecBole's or ours.

    Args:
        config: of the run.
        model: in evaluation mode.
        loaders: of training, validation and test data.
        title: field or template of the titles; see ``item_titles``.

    Attributes:
        user_ids: external ids by internal id, ``(n_users,)``; 0 is RecBole's padding.
        item_ids: the same of the items, ``(n_items,)``.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        model: torch.nn.Module,
        loaders: tuple[Any, Any, Any],
        title: str | None = None,
    ) -> None:
        self._config, self._model, self._loaders, self._title = config, model, loaders, title
        dataset = loaders[0]._dataset
        self.user_ids, self.item_ids = (
            np.array(dataset.field2id_token[field], dtype=str).astype(object)
            for field in (dataset.uid_field, dataset.iid_field)
        )

    @cached_property
    def titles(self) -> np.ndarray:
        """Titles of the items, empty where unknown, ``(n_items,)``."""
        titles = item_titles(self._config, self._title)
        return np.array([titles.get(identity, "") for identity in self.item_ids], dtype=object)

    @cached_property
    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Of users ``(n_users, d)`` and of items ``(n_items, d)``; see ``scored_vectors``."""
        users, items = scored_vectors(self._model)
        return users.float().cpu().numpy(), items.float().cpu().numpy()

    @cached_property
    def history(self) -> tuple[sp.csr_matrix, ...]:
        """Who interacted with what in each part, and what was dropped, ``(n_users, n_items)``."""
        parts = history_parts(self._loaders)
        return *parts, dropped_pairs(self._config, (self.user_ids, self.item_ids), sum(parts))

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Scores of users, by internal id, for all items: ``(b, n_items)``, padding ``-inf``."""
        scores: np.ndarray = full_sort_scores(self._model, torch.from_numpy(users)).cpu().numpy()
        return scores

    def saved(self) -> SavedScorer:
        """The same without the model.

        Raises:
            ConfigError: if the model does not score by inner products.
        """
        return SavedScorer(self.user_ids, self.item_ids, self.titles, self.vectors, self.history)
