"""Top-k recommendations from a trained run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recbole_darec.load import Run, load
from recbole_darec.recommend.external_ids import known_rows
from recbole_darec.recommend.history import excluded
from recbole_darec.recommend.recommendations import Recommendations
from recbole_darec.recommend.scoring import full_sort_scores
from recbole_darec.recommend.titles import item_titles
from recbole_darec.recommend.vectors import scored_vectors

_SCORES_AT_ONCE = 2**23


class Recommender:
    """Recommends items to users by their external ids.

    Args:
        run: a loaded run, or the path of its folder.
        title: field or template of the titles; see ``item_titles``.
        moved: as for ``load``, where ``run`` is a path.
    """

    def __init__(
        self, run: Run | str | os.PathLike[str], title: str | None = None, **moved: Any
    ) -> None:
        self.run = run if isinstance(run, Run) else load(run, **moved)
        titles = item_titles(self.run.config, title)
        self.titles = np.array([titles.get(i, "") for i in self.run.item_ids], dtype=object)
        self.user_rows = {i: row for row, i in enumerate(self.run.user_ids) if row}
        self.item_rows = {i: row for row, i in enumerate(self.run.item_ids) if row}
        self._excluded = lru_cache(maxsize=2)(self._read_excluded)

    def recommend(
        self,
        users: Sequence[str] | None = None,
        k: int = 10,
        exclude: str = "all",
        skip_unknown: bool = False,
    ) -> Recommendations:
        """The ``k`` items of highest score for each user.

        Args:
            users: external ids; default all users.
            k: items a user; fewer where fewer are left.
            exclude: what is not recommended: ``all`` that the user has interacted with in the
                data, ``train_valid`` (as in RecBole's evaluation), or ``none``.
            skip_unknown: serve the known users instead of refusing where some are unknown.

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
        step = max(1, _SCORES_AT_ONCE // len(self.run.item_ids))
        parts = [self._top(asked[i : i + step], k, seen) for i in range(0, len(asked), step)]
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
        ids = self.run.item_ids[asked.cpu().numpy()]
        table = self._table("of_item_id", ids, top.values.cpu().numpy(), top.indices.cpu().numpy())
        return Recommendations(table, tuple(i for i in given if i not in rows))

    @cached_property
    def vectors(self) -> tuple[Tensor, Tensor]:
        """User and item vectors whose inner products are the scores; see ``scored_vectors``."""
        return scored_vectors(self.run.model)

    def _read_excluded(self, exclude: str) -> sp.csr_matrix | None:
        return excluded(self.run.loaders, exclude)

    def _top(
        self, users: np.ndarray, k: int, seen: sp.csr_matrix | None
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = full_sort_scores(self.run.model, torch.from_numpy(users))
        if seen is not None:
            rows, columns = seen[users].nonzero()
            scores[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
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
                "item_id": self.run.item_ids[items.ravel()],
                "title": self.titles[items.ravel()],
                "score": scores.ravel(),
            }
        )
        return table[np.isfinite(table["score"])].reset_index(drop=True)

    def __repr__(self) -> str:
        return f"<Recommender of {self.run!r}>"
