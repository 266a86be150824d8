"""RecBole's dataset with side embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from recbole.data.dataset import Dataset

from recbole_darec.data.assemble import item_means, settle_missing
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.embedding.history import KEY as HISTORY
from recbole_darec.embedding.history import TrainingInteractions
from recbole_darec.embedding.placebo import placebo
from recbole_darec.embedding.source import SideRows, side_rows, side_source
from recbole_darec.keys import ConfigError

_PLACEBO_STREAM = 7

Rows = tuple[np.ndarray, np.ndarray]  # table (n, d_L) and mask (n,) of the rows that have a vector


class SideEmbeddingDataset(Dataset):  # type: ignore[misc]
    """A RecBole dataset whose users and items carry semantic embeddings.

    The embeddings are attached when the dataset is built, after filtering, remapping and
    splitting: ids, their numbers and the splits are those of the plain dataset. They are found
    through RecBole's ``get_preload_weight(field)`` or, with the mask of rows that really have
    one, through ``side_embeddings(field)``.

    With ``embedding_placebo`` the vectors of both sides are replaced as they would be used; with
    ``embedding_placebo_users: item_mean`` users without a vector of their own get the mean of
    their items' replaced ones, so that users of the same items stay alike.
    """

    def _get_preset(self) -> None:
        super()._get_preset()
        self._side_embeddings: dict[str, SideEmbeddings] = {}
        self._side_rows: dict[str, SideRows | None] = {}

    def read_side_rows(self) -> None:
        """Read the vectors that no split changes now, for this dataset and its copies.

        Texts of users from their history differ from split to split and are left to ``build``.

        Raises:
            ConfigError: if a source of texts or vectors is missing or malformed.
        """
        for side, field in (("item", self.iid_field), ("user", self.uid_field)):
            if side_source(self.config, side) != HISTORY:
                self._side_rows[side] = side_rows(self.config, side, self._ids(field))

    def build(self) -> list[Dataset]:
        """Split as RecBole does, then attach the side embeddings.

        Raises:
            ConfigError: if a source of texts or vectors is missing or malformed.
        """
        datasets: list[Dataset] = super().build()
        self._attach(datasets[0])
        return datasets

    def attach_anew(self, config: Any) -> None:
        """Attach what another configuration asks for, to a training part that was built before.

        Raises:
            ConfigError: if a source of texts or vectors is missing or malformed.
        """
        self.config, self._side_rows = config, {}
        self._attach(self)

    def side_embeddings(self, field: str) -> SideEmbeddings:
        """The side embeddings of the ids of a field (user or item id).

        Raises:
            ValueError: if the dataset has not been built or the field has none.
        """
        if field not in self._side_embeddings:
            raise ValueError(f"no side embeddings for '{field}'; call build() first")
        return self._side_embeddings[field]

    def _attach(self, training: Dataset) -> None:
        try:
            self._attach_rows(training)
        except ConfigError:
            raise
        except (ValueError, TypeError, LookupError, OSError) as error:
            raise ConfigError(
                f"the texts or embeddings of '{self.config['dataset']}' cannot be used: {error}; "
                f"'embed verify' looks for damage in the store {self.config['embedding_dir']}"
            ) from error

    def _attach_rows(self, training: Dataset) -> None:
        config = self.config
        items = self._own_rows("item", self.iid_field, training)
        if items is None:
            raise ConfigError(
                f"dataset '{config['dataset']}' has no text and no embeddings of its items: set "
                "'item_template', 'item_text_file' or 'item_embedding_file'"
            )
        own = self._own_rows("user", self.uid_field, training)
        generator = np.random.default_rng([int(config["seed"]), _PLACEBO_STREAM])
        if config["embedding_placebo_users"] == "item_mean":
            items = self._replaced(items, generator)
            own = None if own is None else self._replaced(own, generator)
            users = self._user_rows(training, items, own)
        else:
            users = self._user_rows(training, items, own)
            items, users = self._replaced(items, generator), self._replaced(users, generator)
        for field, (table, present), what in (
            (self.iid_field, items, "items"),
            (self.uid_field, users, "users"),
        ):
            side = settle_missing(
                table, present, config["missing_text"], self.field2id_token[field], what
            )
            self._side_embeddings[field] = side
            self._preloaded_weight[field] = side.table.numpy()

    def _own_rows(self, side: str, field: str, training: Dataset) -> Rows | None:
        """What a side has itself."""
        if side in self._side_rows:
            rows = self._side_rows[side]
        else:
            interactions = TrainingInteractions.of(training)
            rows = side_rows(self.config, side, self._ids(field), interactions)
        if rows is None:
            return None
        present = np.concatenate([[False], rows.present])
        table = np.zeros((len(present), rows.vectors.shape[1]), dtype=np.float32)
        table[present] = rows.vectors
        return table, present

    def _replaced(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """The same rows with placebos in the place of their vectors."""
        kind = self.config["embedding_placebo"]
        if kind == "none":
            return rows
        table, present = rows[0].copy(), rows[1]
        table[present] = placebo(table[present], kind, generator)
        return table, present

    def _ids(self, field: str) -> list[str]:
        return [str(token) for token in self.field2id_token[field][1:]]

    def _user_rows(self, training: Dataset, items: Rows, own: Rows | None) -> Rows:
        if own is not None and own[0].shape[1] != items[0].shape[1]:
            raise ConfigError(
                f"users' embeddings have {own[0].shape[1]} dimensions, items' "
                f"{items[0].shape[1]}; encode both with the same encoder"
            )
        if own is not None and self.config["user_without_text"] == "missing":
            return own
        interactions = training.inter_feat
        table, present = item_means(
            interactions[self.uid_field].numpy(),
            interactions[self.iid_field].numpy(),
            self.user_num,
            *items,
        )
        if own is not None:
            table[own[1]] = own[0][own[1]]
            present = present | own[1]
        return table, present
