"""The contract of an alignment method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class Alignment(nn.Module, ABC):
    """A method that aligns collaborative and semantic representations.

    An alignment is built from dimensions and side embeddings; it does not know its backbone. All
    random numbers that it draws come from ``self.generator``, so that training with all weights
    at 0 is bit-identical to the bare backbone.

    Attributes:
        keys: the configuration keys that the alignment reads.
        search_space: where to search them, in the syntax of RecBole's ``hyper.test``.
        term_weights: name of each term that ``forward`` returns -> key of its weight. The model
            multiplies each term with its weight and with ``alignment_weight``, all of them among
            ``keys``. A backbone's terms have other names (``bpr``, ``reg``, ``ssl``, ``base``).
        fuses: whether ``fuse`` changes the representation that is scored.
        widens: whether ``scored`` adds columns, which needs scores that are inner products.
    """

    keys: ClassVar[Mapping[str, Key]] = {}
    search_space: ClassVar[Mapping[str, str]] = {}
    term_weights: ClassVar[Mapping[str, str]] = {}
    fuses: bool = False
    widens: bool = False

    users_side: SideEmbeddings
    items_side: SideEmbeddings

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.users_side, self.items_side = users_side, items_side
        self.generator = torch.Generator().manual_seed(int(config["seed"]))
        self.fuses, self.widens = self.fuses_by(config), self.widens_by(config)

    @classmethod
    def check_keys(cls, config: Mapping[str, Any]) -> None:
        """Refuse keys that do not go together, before data and texts are read; by itself none.

        Args:
            config: the configuration, each key by itself checked already.

        Raises:
            ConfigError: if keys do not go together.
        """

    @classmethod
    def fuses_by(cls, config: Mapping[str, Any]) -> bool:
        """Whether it ``fuses`` with this configuration, asked before data and texts are read."""
        return cls.fuses

    @classmethod
    def widens_by(cls, config: Mapping[str, Any]) -> bool:
        """Whether it ``widens`` with this configuration, asked before data and texts are read."""
        return cls.widens

    @classmethod
    def active_weights(cls, config: Mapping[str, Any]) -> dict[str, float]:
        """Weight of each term that this configuration learns by; terms of weight 0 are left out.

        Args:
            config: the configuration.
        """
        if not cls.term_weights:
            return {}
        strength = config["alignment_weight"]
        weights = {name: strength * config[key] for name, key in cls.term_weights.items()}
        return {name: weight for name, weight in weights.items() if weight != 0}

    def prepare(self, ego_dim: int) -> None:
        """Told once, after construction, the width of the rows that ``mask`` will be given."""

    @abstractmethod
    def forward(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """Named scalar terms, unweighted.

        Args:
            output: what the backbone made in this step (with ``mask``, before ``fuse``).
            batch: ids of the step's users, positive and negative items.
            active: names of the terms whose weight is not 0; only these need be computed, others
                are left out.
        """

    def semantic_input(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors ``(m, d_L)`` of the raw embedding space, as they would stand in a table."""
        return vectors

    def encoders(self) -> Mapping[str, nn.Module]:
        """What the alignment makes of rows, for those who look at it or place new items by it.

        Names begin with ``C `` where collaborative rows are encoded and with ``L `` where semantic
        ones are; new items may be placed in ``L shared`` or ``L projected``.
        """
        return {}

    def reads(self, batch: Triples) -> Tensor | None:
        """Numbers of the rows, users above items, that this step reads beside the batch's.

        Asked in training after ``mask`` and before the forward pass, where some rows may cost less
        than all; the output's other rows may then be 0, and ``fuse_at`` takes the place of
        ``fuse``. None, as by itself: any rows.
        """
        return None

    def mask(self, ego: Tensor) -> Tensor:
        """The backbone's input embeddings ``(n_users + n_items, ego_dim)``, some rows masked.

        Called once before each forward pass of training.
        """
        return ego

    def fuse(self, output: CollaborativeOutput) -> CollaborativeOutput:
        """The representations that are scored and enter the backbone's own loss."""
        return output

    def fuse_at(self, rows: Tensor, output: CollaborativeOutput) -> CollaborativeOutput:
        """As ``fuse``, for a step that reads some rows only; by itself ``fuse``, row by row.

        Args:
            rows: numbers of the rows, users above items, each once, ``(k,)``.
            output: what the backbone made; rows that are not read may be 0.
        """
        return self.fuse(output)

    def scored(self, output: CollaborativeOutput) -> CollaborativeOutput:
        """The representations that are scored, where the backbone's own loss reads others.

        By itself what it reads: those of ``fuse``.
        """
        return self.fuse(output)

    def beside(self, output: CollaborativeOutput, vectors: np.ndarray) -> Tensor | None:
        """Columns that ``scored`` would add to items of these embeddings, for items not trained.

        By itself None: all columns of a new item are those of its neighbours.

        Args:
            output: what the backbone makes, as ``scored`` is given it.
            vectors: ``(m, d_L)`` of the raw embedding space.

        Returns:
            The last columns of such items, ``(m, d)``, or None.
        """
        return None
