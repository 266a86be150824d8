"""Top-k recommendations from a trained run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recbole_darec.inference.history import excluded
from recbole_darec.inference.scoring import full_sort_scores
from recbole_darec.inference.titles import item_titles
from recbole_darec.inference.vectors import scored_vectors
from recbole_darec.load import Run, load
from recbole_darec.recommend.external_ids import known_rows
from recbole_darec.recommend.new_items import NewItems, new_item_vectors
from recbole_darec.recommend.recommendations import Recommendations

_SCORES_AT_ONCE = 2**23


class Recommender:
    """Recommends items to users by their external ids.

    Args:
        run: a loaded run, or the path of its folder.
        title: field or template of the titles; see ``item_titles``.
        moved: as for ``load``, where ``run`` is a path.

    Attributes:
        item_ids: external ids of the items in the order of the columns of ``vectors``: those of
            the run, padding first, then new ones.
        titles: their titles, empty where unknown.
    """

    def __init__(
        self, run: Run | str | os.PathLike[str], title: str | None = None, **moved: Any
    ) -> None:
        self.run = run if isinstance(run, Run) else load(run, **moved)
        titles = item_titles(self.run.config, title)
        self.item_ids = self.run.item_ids
        self.titles = np.array([titles.get(i, "") for i in self.item_ids], dtype=object)
        self.user_rows = {i: row for row, i in enumerate(self.run.user_ids) if row}
        self.item_rows = {i: row for row, i in enumerate(self.run.item_ids) if row}
        self._excluded = lru_cache(maxsize=2)(self._read_excluded)
        self._new = torch.zeros(0, 0)

    def add_items(
        self, new: NewItems | Mapping[str, str], neighbors: int = 20, space: str = "both"
    ) -> Recommender:
        """Let items that were not in training take part, by their text alone.

        Args:
            new: the items, or their texts by external id.
            neighbors: see ``new_item_vectors``.
            space: see ``new_item_vectors``.

        Returns:
            This recommender.

        Raises:
            ConfigError: if the run's model knows no text, or an item is known already.
        """
        new = new if isinstance(new, NewItems) else NewItems.from_texts(self.run, new)
        rows = new_item_vectors(self.run, new, neighbors, space)
        self._new = torch.from_numpy(rows).to(self.run.config["device"])
        first = len(self.run.item_ids)
        self.item_ids = np.concatenate([self.run.item_ids, new.ids])
        self.titles = np.concatenate([self.titles[:first], new.titles])
        self.item_rows = {i: row for row, i in enumerate(self.item_ids) if row}
        self.__dict__.pop("vectors", None)
        return self

    def recommend(
        self,
        users: Sequence[str] | None = None,
        k: int = 10,
        exclude: str = "all",
        skip_unknown: bool = False,
        only_new: bool = False,
    ) -> Recommendations:
        """The ``k`` items of highest score for each user.

        Args:
            users: external ids; default all users.
            k: items a user; fewer where fewer are left.
            exclude: what is not recommended: ``all`` that the user has interacted with in the
                data, ``train_valid`` (as in RecBole's evaluation), or ``none``.
            skip_unknown: serve the known users instead of refusing where some are unknown.
            only_new: rank nothing but the items of ``add_items``.

        Raises:
            ConfigError: if a user is unknown.
            ValueError: if ``k`` or ``exclude`` is not admissible.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        given = list(self.user_rows) if users is None else [str(user) for user in users]
        rows = known_rows(given, self.user_rows, "users", skip_unknown)
        seen = self._excluded(exclude)
        asked = np.fromiter(rows.values(), dtype=np.int64)
        step = max(1, _SCORES_AT_ONCE // len(self.item_ids))
        first = len(self.run.item_ids) if only_new else 0
        parts = [self._top(asked[i : i + step], k, seen, first) for i in range(0, len(asked), step)]
        scores, items = (np.concatenate(part) for part in zip(*parts, strict=True))
        table = self._table("user_id", self.run.user_ids[asked], scores, items)
        return Recommendations(table, tuple(i for i in given if i not in rows))

    def similar(
        self, items: Sequence[str], k: int = 10, skip_unknown: bool = False
    ) -> Recommendations:
        """The ``k`` items nearest to each given item by cosine of the scored vectors.

        Raises:
            ConfigError: if an item is unknown or the model has no vectors.
        """
        given = [str(item) for item in items]
        rows = known_rows(given, self.item_rows, "items", skip_unknown)
        unit = F.normalize(self.vectors[1], dim=1)
        asked = torch.tensor(list(rows.values()), device=unit.device)
        cosines = unit[asked] @ unit.T
        cosines[:, 0] = -torch.inf
        cosines[torch.arange(len(asked)), asked] = -torch.inf
        top = cosines.topk(min(k, len(unit) - 1))
        ids = self.item_ids[asked.cpu().numpy()]
        table = self._table("of_item_id", ids, top.values.cpu().numpy(), top.indices.cpu().numpy())
        return Recommendations(table, tuple(i for i in given if i not in rows))

    @cached_property
    def vectors(self) -> tuple[Tensor, Tensor]:
        """User and item vectors whose inner products are the scores; see ``scored_vectors``."""
        users, items = scored_vectors(self.run.model)
        return users, torch.cat([items, self._new]) if len(self._new) else items

    def _read_excluded(self, exclude: str) -> sp.csr_matrix | None:
        return excluded(self.run.loaders, exclude)

    def _top(
        self, users: np.ndarray, k: int, seen: sp.csr_matrix | None, first: int
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = torch.from_numpy(users)
        scores = full_sort_scores(self.run.model, rows)
        if seen is not None:
            pairs = seen[users].nonzero()
            scores[torch.from_numpy(pairs[0]), torch.from_numpy(pairs[1])] = -torch.inf
        if len(self._new):
            scores = torch.cat([scores, self.vectors[0][rows.to(scores.device)] @ self._new.T], 1)
        scores[:, :first] = -torch.inf
        top = scores.topk(min(k, scores.shape[1] - 1))
        return top.values.cpu().numpy(), top.indices.cpu().numpy()

    def _table(
        self, name: str, ids: np.ndarray, scores: np.ndarray, items: np.ndarray
    ) -> pd.DataFrame:
        count = items.shape[1]
        table = pd.DataFrame(
            {
                name: np.repeat(ids, count),
                "rank": np.tile(np.arange(1, count + 1), len(ids)),
                "item_id": self.item_ids[items.ravel()],
                "title": self.titles[items.ravel()],
                "score": scores.ravel(),
            }
        )
        return table[np.isfinite(table["score"])].reset_index(drop=True)

    def __repr__(self) -> str:
        return f"<Recommender of {self.run!r}>"
