"""DCCF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, nn

from recbole_darec.backbone.base import Triples
from recbole_darec.backbone.contrast import info_nce
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.backbone.pairwise_backbone import PairwiseBackbone
from recbole_darec.edge_pattern import EdgePattern
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import Key


class DCCF(PairwiseBackbone):
    """Disentangled intents: each layer adds four messages, which are contrasted with one another.

    The messages are the graph's, the mixture of global intents, and two over the graph with edges
    weighed by how alike their ends are, in the graph's and in the intents' message. As in RLMRec,
    the contrast is over the distinct users and positive items of the batch, and both sums are
    divided by the number of distinct users.

    Source: Ren et al., *Disentangled Contrastive Collaborative Filtering*, SIGIR 2023; RLMRec's
    ``general_cf/dccf.py``.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **PairwiseBackbone.keys,
        "n_layers": Key(int, low=1),
        "n_intents": Key(int, low=1),
        "ssl_tau": Key(float, low=0, open_low=True),
        "ssl_weight": Key(float, low=0),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -8,-4",
        "n_layers": "choice [1,2,3]",
        "n_intents": "choice [32,64,128]",
        "reg_weight": "choice [1e-5,1e-4,1e-3]",
        "ssl_tau": "choice [0.1,0.2,0.5]",
        "ssl_weight": "loguniform -9,-2",
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self.n_layers: int = config["n_layers"]
        self._tau: float = config["ssl_tau"]
        self._weight: float = config["ssl_weight"]
        shape = (self.dim, config["n_intents"])
        self.user_intents = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))
        self.item_intents = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))

    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``; in training each layer's messages are in ``extras``."""
        layer = total = self.ego() if ego is None else ego
        pattern = self.graph.pattern()
        messages = []
        for _ in range(self.n_layers):
            messages.append(self._messages(layer, pattern))
            layer = layer + sum(messages[-1])
            total = total + layer
        return self.output(total, messages=messages) if self.training else self.output(total)

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """BPR, L2 and the weighted contrast of the messages; see ``Backbone.loss``."""
        contrast = self._contrast(self.triples(interaction), output.extras["messages"])
        return super().loss(interaction, output) | {"ssl": self._weight * contrast}

    def _messages(self, x: Tensor, pattern: EdgePattern) -> tuple[Tensor, ...]:
        neighbours = self.graph.propagate(x)
        users, items = self.graph.split(x)
        intents = torch.cat([_mix(users, self.user_intents), _mix(items, self.item_intents)])
        adaptive = [_adaptive_message(of, x, pattern) for of in (neighbours, intents)]
        return neighbours, intents, *adaptive

    def _contrast(self, batch: Triples, messages: list[tuple[Tensor, ...]]) -> Tensor:
        users, items = torch.unique(batch.users), torch.unique(batch.positives)
        sides = ((users, 1.0), (items + self.n_users, items.numel() / users.numel()))
        terms = []
        for neighbours, *others in messages:
            for rows, share in sides:
                anchors = F.embedding(rows, neighbours)
                for other in others:
                    picked = F.embedding(rows, other)
                    terms.append(share * info_nce(anchors, picked, picked, self._tau))
        return torch.stack(terms).sum()


def _mix(x: Tensor, intents: Tensor) -> Tensor:
    return torch.softmax(x @ intents, dim=1) @ intents.T


def _adaptive_message(of: Tensor, x: Tensor, pattern: EdgePattern) -> Tensor:
    """Mean of the neighbours' ``x``, weighed by the likeness of ``of`` at the edge's ends."""
    unit = F.normalize(of)
    return pattern.weighted_mean((pattern.edge_dot(unit, unit) + 1) / 2, x)
