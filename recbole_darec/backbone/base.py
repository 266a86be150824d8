"""The contract of a collaborative model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import Key


class Triples(NamedTuple):
    """Ids of a pairwise batch, each ``(batch,)``."""

    users: Tensor
    positives: Tensor
    negatives: Tensor


class Backbone(nn.Module, ABC):
    """A collaborative model: user and item representations and an objective of its own.

    A backbone is built from the configuration and the training graph; it knows nothing of text
    or of alignment.

    Attributes:
        keys: the configuration keys that the backbone reads, beside ``embedding_size``.
        search_space: where to search them, in the syntax of RecBole's ``hyper.test``.
        fusible: whether ``loss`` reads the representations of the output that it is given, so that
            an alignment may change them.
        by_product: whether ``score`` is by inner products of the representations, of any width.
        reads_batch: whether ``loss`` reads no other rows of the output's users and items than the
            batch's, so that the others need not be made.
        rows_cost: whether each row of the output costs by itself, so that few of them are cheaper
            on a graph of any size.
        dim: width of the representations; the input embeddings may be narrower, as GCCF's.
    """

    fusible: bool = True
    by_product: bool = True
    reads_batch: bool = False
    rows_cost: bool = False
    keys: ClassVar[Mapping[str, Key]] = {}
    search_space: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__()
        self.graph = graph
        self.n_users, self.n_items = graph.n_users, graph.n_items
        self.dim: int = config["embedding_size"]
        self._user_field: str = config["USER_ID_FIELD"]
        self._item_field: str = config["ITEM_ID_FIELD"]
        self._negative_field: str = config["NEG_PREFIX"] + self._item_field

    @classmethod
    def from_dataset(cls, config: Mapping[str, Any], dataset: Any) -> Backbone:
        """The backbone on the interactions of RecBole's training dataset."""
        return cls(config, BipartiteGraph.from_dataset(dataset))

    def begin_epoch(self, epoch: int) -> None:
        """Called before each training epoch, which is numbered from 0; does nothing by itself."""

    @abstractmethod
    def ego(self) -> Tensor:
        """The trainable input embeddings, users above items, ``(n_users + n_items, width)``."""

    @abstractmethod
    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """Representations of all users and items.

        Args:
            ego: input embeddings ``(n_users + n_items, width)`` to use in the place of
                ``self.ego()``, so that an alignment may mask rows of them.
        """

    def forward_at(self, rows: Tensor, ego: Tensor) -> CollaborativeOutput:
        """As ``forward``, for a step that reads some rows only; the others may be 0.

        Asked of a backbone whose ``loss`` ``reads_batch``. By itself all rows; one that has some of
        them for less says so here.

        Args:
            rows: numbers of the rows, users above items, each once, ``(k,)``.
            ego: see ``forward``.
        """
        output: CollaborativeOutput = self(ego)
        return output

    @abstractmethod
    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """The backbone's own objective as named scalar terms, already weighted.

        Args:
            interaction: RecBole's batch (or any mapping of field name to ids).
            output: the result of ``forward`` in this step.
        """

    def triples(self, interaction: Any) -> Triples:
        """Users, positive and negative items of a batch."""
        return Triples(
            interaction[self._user_field],
            interaction[self._item_field],
            interaction[self._negative_field],
        )

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of every user row against every item row: ``(b, d), (n, d) -> (b, n)``."""
        return torch.matmul(users, items.T)

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of user rows against item rows one by one: ``(b, d), (b, d) -> (b,)``."""
        scores: Tensor = torch.linalg.vecdot(users, items)
        return scores
