"""GCCF, that is LR-GCCF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.backbone.pairwise_backbone import PairwiseBackbone
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import Key


class GCCF(PairwiseBackbone):
    """Linear propagation with self-loops; the layers are concatenated.

    The representations are ``(n_layers + 1) * embedding_size`` wide. As in RLMRec, a layer has no
    weight matrix.

    Source: Chen et al., *Revisiting Graph Based Collaborative Filtering: A Linear Residual Graph
    Convolutional Network Approach*, AAAI 2020; RLMRec's ``general_cf/gccf.py``.
    """

    keys: ClassVar[Mapping[str, Key]] = {**PairwiseBackbone.keys, "n_layers": Key(int, low=1)}
    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -8,-4",
        "n_layers": "choice [1,2,3,4]",
        "reg_weight": "choice [1e-7,1e-6,1e-5,1e-4]",
    }

    _rescale: Tensor
    _loop: Tensor

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self.n_layers: int = config["n_layers"]
        self.dim = (self.n_layers + 1) * self.embedding.shape[1]
        degrees = graph.degrees()[:, None]
        self.register_buffer("_rescale", (degrees / (degrees + 1)).sqrt(), persistent=False)
        self.register_buffer("_loop", 1 / (degrees + 1), persistent=False)

    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``."""
        layers = [self.ego() if ego is None else ego]
        for _ in range(self.n_layers):
            layers.append(self._propagate(layers[-1]))
        return self.output(torch.cat(layers, dim=1))

    def _propagate(self, x: Tensor) -> Tensor:
        """``(D + I)^-1/2 (A + I) (D + I)^-1/2 x``, written with the graph's ``D^-1/2 A D^-1/2``."""
        return self._rescale * self.graph.propagate(self._rescale * x) + self._loop * x
