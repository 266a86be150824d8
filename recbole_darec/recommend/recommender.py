"""Top-k recommendations from a trained run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from recbole_darec.checksums import verify
from recbole_darec.inference.history import excluded
from recbole_darec.inference.saved_scorer import FILE_NAME, SavedScorer
from recbole_darec.keys import ConfigError
from recbole_darec.moved import check_moved
from recbole_darec.recommend.external_ids import known_rows
from recbole_darec.recommend.recommendations import Recommendations

if TYPE_CHECKING:
    from recbole_darec.inference.model_scorer import ModelScorer
    from recbole_darec.load import Run
    from recbole_darec.recommend.new_items import NewItems

_SCORES_AT_ONCE = 2**23


class Recommender:
    """Recommends items to users by their external ids.

    From a folder it serves what the run saved (``SavedScorer``), which takes neither the data nor
    the model. The run itself is loaded where that does not do: for a model that does not score by
    inner products, another title, reasons and new items.

    Args:
        run: a loaded run, or the path of its folder.
        title: field or template of the titles; see ``item_titles``.
        moved: as for ``load``, where ``run`` is a path.

    Attributes:
        user_ids: external ids of the users by internal id, padding first.
        item_ids: external ids of the items in the order of the columns of ``vectors``: those of
            the run, padding first, then new ones.
        titles: their titles, empty where unknown.

    Raises:
        ConfigError: if a file of the folder is missing or was altered, or the run has to be
            loaded and cannot be.
    """

    def __init__(
        self, run: Run | str | os.PathLike[str], title: str | None = None, **moved: Any
    ) -> None:
        check_moved(run, moved)
        self._given, self._moved = run, moved
        self._scorer = self._saved_scorer(title) or self._model_scorer(title)
        self.user_ids, self.item_ids = self._scorer.user_ids, self._scorer.item_ids
        self.titles = self._scorer.titles
        self.user_rows = {i: row for row, i in enumerate(self.user_ids) if row}
        self.item_rows = {i: row for row, i in enumerate(self.item_ids) if row}
        self._excluded = lru_cache(maxsize=2)(self._read_excluded)
        self._new = np.zeros((0, 0), dtype=np.float32)

    def _saved_scorer(self, title: str | None) -> SavedScorer | None:
        if title is not None or not isinstance(self._given, (str, os.PathLike)):
            return None
        folder = Path(self._given)
        verify(folder)
        return SavedScorer.load(folder) if (folder / FILE_NAME).is_file() else None

    def _model_scorer(self, title: str | None) -> ModelScorer:
        from recbole_darec.inference.model_scorer import ModelScorer

        return ModelScorer(self.run.config, self.run.model, self.run.loaders, title)

    @cached_property
    def run(self) -> Run:
        """The run; loaded with model and data when it is first asked for."""
        if not isinstance(self._given, (str, os.PathLike)):
            return self._given
        from recbole_darec.load import load

        return load(self._given, **self._moved)

    def add_items(
        self, new: NewItems | Mapping[str, str], neighbors: int = 20, space: str = "raw"
    ) -> Recommender:
        """Let items that were not in training take part, beside those added before, by their text.

        Args:
            new: the items, or their texts by external id.
            neighbors: see ``new_item_vectors``.
            space: see ``new_item_vectors``.

        Returns:
            This recommender.

        Raises:
            ConfigError: if the run's model knows no text, or an item is known already.
        """
        from recbole_darec.recommend.new_items import NewItems, new_item_vectors

        new = new if isinstance(new, NewItems) else NewItems.from_texts(self.run, new)
        added = new_item_vectors(self.run, new, neighbors, space)
        again = [identity for identity in new.ids if identity in self.item_rows]
        if again:
            raise ConfigError(f"items that were added already: {', '.join(again[:5])}")
        self._new = np.concatenate([self._new, added]) if len(self._new) else added
        self.item_ids = np.concatenate([self.item_ids, new.ids.astype(object)])
        self.titles = np.concatenate([self.titles, new.titles])
        self.item_rows = {i: row for row, i in enumerate(self.item_ids) if row}
        self.__dict__.pop("vectors", None)
        return self

    def recommend(
        self,
        users: str | Sequence[str] | None = None,
        k: int = 10,
        exclude: str = "all",
        skip_unknown: bool = False,
        only_new: bool = False,
    ) -> Recommendations:
        """The ``k`` items of highest score for each user.

        Args:
            users: external ids, or a single one; default all users.
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
        given = list(self.user_rows) if users is None else _ids(users)
        rows = known_rows(given, self.user_rows, "users", skip_unknown)
        seen = self._excluded(exclude)
        asked = np.fromiter(rows.values(), dtype=np.int64)
        step = max(1, _SCORES_AT_ONCE // len(self.item_ids))
        first = len(self._scorer.item_ids) if only_new else 0
        starts = range(0, max(1, len(asked)), step)
        parts = [self._top(asked[start : start + step], k, seen, first) for start in starts]
        scores, items = (np.concatenate(part) for part in zip(*parts, strict=True))
        table = self._table("user_id", self.user_ids[asked], scores, items)
        return Recommendations(table, tuple(i for i in given if i not in rows))

    def similar(
        self, items: str | Sequence[str], k: int = 10, skip_unknown: bool = False
    ) -> Recommendations:
        """The ``k`` items nearest to each given item by cosine of the scored vectors.

        Raises:
            ConfigError: if an item is unknown or the model has no vectors.
        """
        given = _ids(items)
        rows = known_rows(given, self.item_rows, "items", skip_unknown)
        vectors = self.vectors[1]
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        asked = np.fromiter(rows.values(), dtype=np.int64)
        cosines = unit[asked] @ unit.T
        cosines[:, 0] = -np.inf
        cosines[np.arange(len(asked)), asked] = -np.inf
        table = self._table("of_item_id", self.item_ids[asked], *_highest(cosines, k))
        return Recommendations(table, tuple(i for i in given if i not in rows))

    @cached_property
    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """User and item vectors whose inner products are the scores; see ``scored_vectors``."""
        users, items = self._scorer.vectors
        return users, np.concatenate([items, self._new]) if len(self._new) else items

    def _read_excluded(self, exclude: str) -> sp.csr_matrix | None:
        return excluded(self._scorer.history, exclude)

    def _top(
        self, users: np.ndarray, k: int, seen: sp.csr_matrix | None, first: int
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = self._scorer.scores(users)
        if seen is not None:
            scores[seen[users].nonzero()] = -np.inf
        if len(self._new):
            scores = np.hstack([scores, self.vectors[0][users] @ self._new.T])
        scores[:, :first] = -np.inf
        return _highest(scores, k)

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
        users, items = len(self.user_rows), len(self.item_rows)
        of = self._given if isinstance(self._given, (str, os.PathLike)) else repr(self._given)
        return f"<Recommender of {of}: {users} users, {items} items>"


def _ids(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else [str(identity) for identity in given]


def _highest(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` highest of each row but for one, the padding, and their columns, best first."""
    k = min(k, scores.shape[1] - 1)
    columns = np.argpartition(scores, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, columns, 1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, 1)
    return np.take_along_axis(scores, columns, 1), columns
