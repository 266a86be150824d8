"""SimGCL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from recbole_darec.backbone.contrast import node_info_nce
from recbole_darec.backbone.lightgcn import LightGCN
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.graph import Adjacency, BipartiteGraph
from recbole_darec.keys import Key


class SimGCL(LightGCN):
    """LightGCN with a contrast between two views whose layers carry random noise.

    The noise of a node has length ``eps`` and the signs of the node's embedding. As in RLMRec, the
    layers of a view include layer 0, which carries none.

    Source: Yu et al., *Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
    Recommendation*, SIGIR 2022; RLMRec's ``general_cf/simgcl.py``.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **LightGCN.keys,
        "eps": Key(float, low=0),
        "ssl_tau": Key(float, low=0, open_low=True),
        "ssl_weight": Key(float, low=0),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        **LightGCN.search_space,
        "eps": "choice [0.05,0.1,0.2,0.5,0.9]",
        "ssl_tau": "choice [0.1,0.2,0.5]",
        "ssl_weight": "loguniform -7,-1",
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self._eps: float = config["eps"]
        self._tau: float = config["ssl_tau"]
        self._weight: float = config["ssl_weight"]

    def forward(self, ego: Tensor | None = None, rows: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``; in training the two views are in ``extras["views"]``.

        The contrast reads all rows, whatever ``rows`` says.
        """
        ego = self.ego() if ego is None else ego
        adjacency = self._training_graph()
        nodes = self.aggregate(adjacency, ego)
        if not self.training:
            return self.output(nodes)
        # The noise is constant with respect to the embeddings, hence the views have the gradient
        # of the clean representations and need no backward propagation of their own.
        noisy = self._noisy_views(adjacency, ego.detach())
        return self.output(nodes, views=[nodes + (view - nodes.detach()) for view in noisy])

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """BPR, L2 and the weighted contrast of the views; see ``Backbone.loss``."""
        batch = self.triples(interaction)
        (users1, items1), (users2, items2) = map(self.graph.split, output.extras["views"])
        contrast = node_info_nce(users1, users2, batch.users, self._tau)
        contrast = contrast + node_info_nce(items1, items2, batch.positives, self._tau)
        return super().loss(interaction, output) | {"ssl": self._weight * contrast}

    def _noisy_views(self, adjacency: Adjacency, ego: Tensor) -> list[Tensor]:
        clean_first = adjacency.propagate(ego)
        views = []
        for _ in range(2):
            layer = self._add_noise(clean_first)
            total = ego + layer
            for _ in range(self.n_layers - 1):
                layer = self._add_noise(adjacency.propagate(layer))
                total = total + layer
            views.append(total * self._layer_scale)
        return views

    def _add_noise(self, layer: Tensor) -> Tensor:
        noise = F.normalize(torch.rand_like(layer)) * self._eps
        return layer + noise * layer.sign()
