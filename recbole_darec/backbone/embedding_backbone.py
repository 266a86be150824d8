"""What backbones with one trainable embedding table of users and items share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from recbole.model.init import xavier_uniform_initialization
from torch import Tensor, nn

from recbole_darec.backbone.base import Backbone, Triples
from recbole_darec.backbone.objectives import batch_l2, parameter_l2
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.gather import sampleable
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import Key


class EmbeddingBackbone(Backbone):
    """A trainable table of users above items, and its L2.

    One table spares a concatenation and a split a step; its rows start with the very numbers that
    RecBole's model of the same name draws for its two tables.

    Attributes:
        initialise: how RecBole's model of the same name draws its embeddings.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        "reg": Key(str, choices=("batch", "all")),
        "reg_weight": Key(float, low=0),
        "require_pow": Key(bool),
    }
    initialise: Callable[[nn.Module], None] = staticmethod(xavier_uniform_initialization)

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self._reg: str = config["reg"]
        self._reg_weight: float = config["reg_weight"]
        self._require_pow: bool = config["require_pow"]
        tables = [nn.Embedding(n, self.dim) for n in (self.n_users, self.n_items)]
        for table in tables:
            self.initialise(table)
        self.embedding = nn.Parameter(torch.cat([table.weight.detach() for table in tables]))

    def ego(self) -> Tensor:
        """The embedding table, users above items, ``(n_users + n_items, embedding_size)``."""
        return self.embedding

    def regularisation(self, batch: Triples) -> Tensor:
        """Weighted L2 of the batch's embeddings (``reg: batch``) or of all parameters."""
        if self._reg_weight == 0:
            return self.embedding.new_zeros(())
        if self._reg == "all":
            return self._reg_weight * parameter_l2(self.parameters())
        return self._reg_weight * batch_l2(self.embedding, batch, self.n_users, self._require_pow)

    def output(self, nodes: Tensor, **extras: Any) -> CollaborativeOutput:
        """Representations from one matrix of users above items."""
        users, items = map(sampleable, self.graph.split(nodes))
        return CollaborativeOutput(users, items, extras=extras)
