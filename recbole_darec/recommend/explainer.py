"""Why an item was recommended: what of the user's history it is near to, and where they meet."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import normalize

from recbole_darec.analysis.preference import nearest_items, trained_centers
from recbole_darec.analysis.representations import Representations, representations
from recbole_darec.inference.history import history_matrix
from recbole_darec.keys import ConfigError
from recbole_darec.recommend.recommendations import Recommendations
from recbole_darec.recommend.recommender import Recommender

_SPACES = {"collaborative": ("C shared", "C raw"), "semantic": ("L shared", "L raw")}
_NAMING_TITLES = 3


class Explainer:
    """Adds reasons to recommendations.

    The reasons are neighbours in the spaces that the alignment learnt; they describe the model
    and are no causal account of the score.

    Args:
        recommender: whose recommendations are explained.
        neighbors: how many items of the history to name in each space.
    """

    def __init__(self, recommender: Recommender, neighbors: int = 3) -> None:
        self.recommender = recommender
        self.neighbors = neighbors
        run = recommender.run
        self.history = history_matrix(run.loaders[:2])
        self.blocks = representations(run.model)
        self._units = {
            side: normalize(self.blocks.items[name])
            for side, names in _SPACES.items()
            for name in [_first(names, self.blocks)]
            if name
        }
        if self.blocks.disentangled:
            raw, mean = run.dataset.side_embeddings(run.dataset.iid_field).numpy()
            self._units["text"] = normalize(raw - mean)
        self._centers = (
            trained_centers(self.blocks, run.config) if self.blocks.disentangled else None
        )

    def history_of(self, user: str) -> list[str]:
        """The items of a user's training and validation history, ``id title`` each."""
        return self._names(self.history[self.recommender.user_rows[user]].indices)

    def explain(self, recommendations: Recommendations) -> Recommendations:
        """The same table with the reasons as columns.

        ``near_collaborative`` and ``near_semantic`` name the items of the history with the highest
        cosine in each (shared, where there is one) space; ``near_text``, where there are shared
        parts, those with the nearest text, by the cosine of its embeddings less their mean. The
        last two name items that have a text, and none where the recommended item has none.
        ``center`` names the preference centre
        that user and item are both nearest to: the one whose lesser cosine of the two is highest.

        Raises:
            ConfigError: if the table is not of users, or holds items of ``add_items``.
        """
        table = recommendations.table.copy()
        if "user_id" not in table:
            raise ConfigError("only recommendations to users have reasons, not similar items")
        known = len(self.recommender.run.item_ids)
        new = [i for i in table["item_id"] if self.recommender.item_rows[i] >= known]
        if new:
            raise ConfigError(
                f"reasons speak of items that were in training, not of new ones ({new[0]}, ...)"
            )
        users = np.array([self.recommender.user_rows[u] for u in table["user_id"]], dtype=np.int64)
        items = np.array([self.recommender.item_rows[i] for i in table["item_id"]], dtype=np.int64)
        pairs = list(zip(users, items, strict=True))
        for side, unit in self._units.items():
            table[f"near_{side}"] = [self._near(side, unit, *pair) for pair in pairs]
        if self._centers is not None:
            meeting = self._meeting(users, items) if len(users) else users
            named = self._center_names()
            table["center"] = [f"{c + 1}: {named[c]}" for c in meeting]
        return Recommendations(table, recommendations.skipped)

    def _near(self, side: str, unit: np.ndarray, user: int, item: int) -> str:
        rows = self.history[user].indices
        if side != "collaborative":  # what stands in the rows of items without text says nothing
            rows = rows[np.isin(rows, self.blocks.item_rows)]
            if item not in self.blocks.item_rows:
                return ""
        cosines = unit[rows] @ unit[item]
        best = np.argsort(-cosines, kind="stable")[: self.neighbors]
        names = self._names(rows[best])
        return "; ".join(f"{n} ({c:.2f})" for n, c in zip(names, cosines[best], strict=True))

    def _meeting(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        assert self._centers is not None
        centers = normalize(self._centers.collaborative).T
        of_users = normalize(self.blocks.users["C shared"][users]) @ centers
        of_items = normalize(self.blocks.items["C shared"][items]) @ centers
        nearest: np.ndarray = np.minimum(of_users, of_items).argmax(axis=1)
        return nearest

    def _center_names(self) -> list[str]:
        assert self._centers is not None
        rows = nearest_items(
            self._centers.collaborative,
            self.blocks.items["C shared"],
            self.blocks.item_rows,
            _NAMING_TITLES,
        )
        return [" / ".join(self._names(row)) for row in rows]

    def _names(self, rows: np.ndarray) -> list[str]:
        ids, titles = self.recommender.run.item_ids, self.recommender.titles
        return [f"{ids[row]} {titles[row]}".strip() for row in rows]


def _first(names: tuple[str, ...], blocks: Representations) -> str | None:
    return next((name for name in names if name in blocks.names), None)
