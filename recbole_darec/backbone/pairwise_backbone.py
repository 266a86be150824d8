"""Backbones whose objective is BPR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from recbole_darec.backbone.embedding_backbone import EmbeddingBackbone
from recbole_darec.backbone.objectives import bpr_loss
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import Key


class PairwiseBackbone(EmbeddingBackbone):
    """A trainable table, BPR and L2.

    A backbone with a loss of its own that reads more rows than the batch's sets ``reads_batch`` to
    False again.
    """

    reads_batch = True
    keys: ClassVar[Mapping[str, Key]] = {
        **EmbeddingBackbone.keys,
        "bpr": Key(str, choices=("recbole", "softplus")),
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self._bpr: str = config["bpr"]

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """BPR and weighted L2; see ``Backbone.loss``."""
        batch = self.triples(interaction)
        return {"bpr": bpr_loss(output, batch, self._bpr), "reg": self.regularisation(batch)}
