"""LightGCN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.backbone.pairwise_backbone import PairwiseBackbone
from recbole_darec.graph import Adjacency, BipartiteGraph
from recbole_darec.keys import Key


class LightGCN(PairwiseBackbone):
    """Linear propagation of the embeddings, all layers averaged or summed.

    Source: He et al., *LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation*, SIGIR 2020; RecBole's ``LightGCN`` (the defaults), RLMRec's
    ``general_cf/lightgcn.py`` (layer sum, edge dropout).
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **PairwiseBackbone.keys,
        "n_layers": Key(int, low=1),
        "layer_aggregation": Key(str, choices=("mean", "sum")),
        "keep_rate": Key(float, low=0, high=1, open_low=True),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -8,-4",
        "n_layers": "choice [1,2,3,4]",
        "reg_weight": "choice [1e-6,1e-5,1e-4,1e-3]",
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self.n_layers: int = config["n_layers"]
        self._keep_rate: float = config["keep_rate"]
        self._layer_scale = 1.0 if config["layer_aggregation"] == "sum" else 1 / (self.n_layers + 1)

    def forward(self, ego: Tensor | None = None, rows: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``, and ``forward_at`` for ``rows``."""
        ego = self.ego() if ego is None else ego
        return self.output(self.aggregate(self._training_graph(), ego, rows))

    def forward_at(self, rows: Tensor, ego: Tensor) -> CollaborativeOutput:
        """See ``Backbone.forward_at``: the last layer is propagated to these rows alone."""
        output: CollaborativeOutput = self(ego, rows)
        return output

    def aggregate(self, adjacency: Adjacency, ego: Tensor, rows: Tensor | None = None) -> Tensor:
        """Mean or sum of all layers over the graph or a view of it; see ``Adjacency.smooth``."""
        return adjacency.smooth(ego, self.n_layers, self._layer_scale, rows)

    def _training_graph(self) -> Adjacency:
        if self.training and self._keep_rate < 1:
            return self.graph.drop_edges(1 - self._keep_rate, renormalise=False)
        return self.graph.adjacency
