"""SGL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from recbole_darec.backbone.contrast import node_info_nce
from recbole_darec.backbone.lightgcn import LightGCN
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.graph import Adjacency, BipartiteGraph
from recbole_darec.keys import Key

View = Adjacency | list[Adjacency]


class SGL(LightGCN):
    """LightGCN with a contrast between two randomly thinned views of the graph.

    BPR and contrast are means over the batch, which RecBole sums; with ``reg: batch``, L2 is
    divided by the size of the batch once more, so that the whole is RecBole's over that size.

    Source: Wu et al., *Self-supervised Graph Learning for Recommendation*, SIGIR 2021; RecBole's
    ``SGL`` (the defaults); RLMRec's ``general_cf/sgl.py`` (a view per step that keeps the weights,
    contrast of negative items too). Node dropout and random walk are those of the paper: RLMRec's
    node dropout blanks embeddings, and its random walk cannot run (it reads a view before there is
    one).
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **LightGCN.keys,
        "type": Key(str, choices=("ED", "ND", "RW")),
        "drop_ratio": Key(float, low=0, high=1, open_high=True),
        "renormalise_views": Key(bool),
        "view_interval": Key(str, choices=("epoch", "step")),
        "ssl_tau": Key(float, low=0, open_low=True),
        "ssl_weight": Key(float, low=0),
        "ssl_negatives": Key(bool),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        **LightGCN.search_space,
        "drop_ratio": "choice [0.1,0.2,0.3]",
        "ssl_tau": "choice [0.1,0.2,0.5,1.0]",
        "ssl_weight": "loguniform -7,-1",
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self._type: str = config["type"]
        self._drop_ratio: float = config["drop_ratio"]
        self._renormalise: bool = config["renormalise_views"]
        self._per_step: bool = config["view_interval"] == "step"
        self._tau: float = config["ssl_tau"]
        self._weight: float = config["ssl_weight"]
        self._contrast_negatives: bool = config["ssl_negatives"]
        self._views: tuple[View, View] | None = None

    def forward(self, ego: Tensor | None = None, rows: Tensor | None = None) -> CollaborativeOutput:
        """See ``LightGCN.forward``; in training the two views are in ``extras["views"]``."""
        ego = self.ego() if ego is None else ego
        output = super().forward(ego, rows)
        if self.training:
            output.extras["views"] = [self._encode(view, ego) for view in self._current_views()]
        return output

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """BPR, L2 and the weighted contrast of the views; see ``Backbone.loss``."""
        batch = self.triples(interaction)
        (users1, items1), (users2, items2) = map(self.graph.split, output.extras["views"])
        contrast = node_info_nce(users1, users2, batch.users, self._tau)
        contrast = contrast + node_info_nce(items1, items2, batch.positives, self._tau)
        if self._contrast_negatives:
            contrast = contrast + node_info_nce(items1, items2, batch.negatives, self._tau)
        terms = super().loss(interaction, output)
        if self._reg == "batch":
            terms["reg"] = terms["reg"] / len(batch.users)
        return terms | {"ssl": self._weight * contrast}

    def begin_epoch(self, epoch: int) -> None:
        """An epoch begins with new views; see ``Backbone.begin_epoch``."""
        self._views = None

    def _current_views(self) -> tuple[View, View]:
        if self._views is None or self._per_step:
            self._views = self._draw_view(), self._draw_view()
        return self._views

    def _draw_view(self) -> View:
        if self._type == "ND":
            return self.graph.drop_nodes(self._drop_ratio, self._renormalise)
        if self._type == "ED":
            return self.graph.drop_edges(self._drop_ratio, self._renormalise)
        return [
            self.graph.drop_edges(self._drop_ratio, self._renormalise) for _ in range(self.n_layers)
        ]

    def _encode(self, view: View, ego: Tensor) -> Tensor:
        if isinstance(view, Adjacency):
            return self.aggregate(view, ego)
        layer = total = ego * self._layer_scale
        for adjacency in view:
            layer = adjacency.propagate(layer)
            total = total + layer
        return total
