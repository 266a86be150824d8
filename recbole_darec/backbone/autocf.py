"""AutoCF."""

from __future__ import annotations

from collections.abc import Mapping
from logging import getLogger
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, nn

from recbole_darec.backbone.contrast import mean_log_sum_exp
from recbole_darec.backbone.edge_attention import EdgeAttention
from recbole_darec.backbone.embedding_backbone import EmbeddingBackbone
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.edge_pattern import EdgePattern
from recbole_darec.gather import row_dot
from recbole_darec.graph import Adjacency, BipartiteGraph
from recbole_darec.keys import ConfigError, Key


class AutoCF(EmbeddingBackbone):
    """A masked graph autoencoder: the encoder propagates, the decoder attends.

    Every ``view_steps`` steps seeds are drawn, by Gumbel noise on how like a node is to its
    surroundings; the edges within ``mask_depth`` hops of them are taken from the encoder, and the
    decoder attends along the remaining edges, self-loops and random pairs of masked nodes.
    Evaluation uses the graph itself in both.

    Source: Xia et al., *Automated Self-Supervised Learning for Recommendation*, WWW 2023; RLMRec's
    ``general_cf/autocf.py`` and ``AutoCFTrainer``.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **EmbeddingBackbone.keys,
        "n_layers": Key(int, low=1),
        "n_attention_layers": Key(int, low=0),
        "n_heads": Key(int, low=1),
        "n_seeds": Key(int, low=1),
        "mask_depth": Key(int, low=1),
        "random_node_rate": Key(float, low=0, high=1),
        "view_steps": Key(int, low=1),
        "ssl_reg": Key(float, low=0),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -8,-4",
        "n_layers": "choice [1,2,3]",
        "reg_weight": "choice [1e-7,1e-6,1e-5]",
        "ssl_reg": "choice [0.5,1,2,5]",
    }

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph) -> None:
        super().__init__(config, graph)
        self.n_layers: int = config["n_layers"]
        self._n_seeds: int = min(config["n_seeds"], graph.n_nodes)
        self._mask_depth: int = config["mask_depth"]
        self._random_nodes = int(graph.n_nodes * config["random_node_rate"])
        self._view_steps: int = config["view_steps"]
        self._ssl_reg: float = config["ssl_reg"]
        if self.dim % config["n_heads"]:
            raise ConfigError(
                f"key 'n_heads' is {config['n_heads']}; it must divide embedding_size ({self.dim})"
            )
        self.attention = nn.ModuleList(
            EdgeAttention(self.dim, config["n_heads"]) for _ in range(config["n_attention_layers"])
        )
        self._step, self._told = 0, False
        self._view: tuple[Adjacency, EdgePattern]

    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``; ``extras["seed_scores"]`` in the steps that draw seeds."""
        ego = self.ego() if ego is None else ego
        if not self.training:
            return self.output(self._encode(ego, self.graph.adjacency, self.graph.pattern()))
        extras = {}
        if self._step % self._view_steps == 0:
            scores = self._seed_scores(ego)
            self._view = self._masked_view(scores.detach().topk(self._n_seeds).indices)
            extras["seed_scores"] = scores
        self._step += 1
        return self.output(self._encode(ego, *self._view), **extras)

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """Reconstruction, L2, weighted contrast and seed objective; see ``Backbone.loss``."""
        batch = self.triples(interaction)
        users, user_counts = torch.unique(batch.users, return_counts=True)
        items = torch.unique(batch.positives)
        anchors, positives = F.embedding(users, output.users), F.embedding(items, output.items)
        within = mean_log_sum_exp(anchors, output.users) + mean_log_sum_exp(positives, output.items)
        across = mean_log_sum_exp(anchors, output.items, user_counts)
        alike = row_dot(
            F.embedding(batch.users, output.users), F.embedding(batch.positives, output.items)
        )
        scores = output.extras.get("seed_scores")
        return {
            "rec": -alike.mean(),
            "reg": self.regularisation(batch),
            "ssl": self._ssl_reg * within + across,
            "infomax": within.new_zeros(()) if scores is None else -scores.mean(),
        }

    def begin_epoch(self, epoch: int) -> None:
        """An epoch begins with new seeds; see ``Backbone.begin_epoch``."""
        self._step = 0

    def _encode(self, ego: Tensor, encoder: Adjacency, decoder: EdgePattern) -> Tensor:
        layers = [ego]
        for _ in range(self.n_layers):
            layers.append(encoder.propagate(layers[-1]))
        for attention in self.attention:
            layers.append(attention(layers[-1], decoder))
        return torch.stack(layers).sum(0)

    def _seed_scores(self, ego: Tensor) -> Tensor:
        """Log-likeness of each node to its two-hop surroundings, plus Gumbel noise."""
        degrees = self.graph.degrees()[:, None]
        first = self._sum_neighbours(ego) - ego
        second = self._sum_neighbours(first) - first - degrees * ego
        n_second = self._sum_neighbours(degrees) - degrees - degrees
        surroundings = (first + second) / (degrees + n_second + 1e-8)
        likeness = row_dot(F.normalize(surroundings), F.normalize(ego))
        gumbel = -torch.empty_like(likeness).exponential_().log()
        return F.logsigmoid(likeness) + gumbel

    def _sum_neighbours(self, x: Tensor) -> Tensor:
        root = self.graph.degrees()[:, None].sqrt()
        return root * self.graph.propagate(root * x)

    def _masked_view(self, seeds: Tensor) -> tuple[Adjacency, EdgePattern]:
        users, items = self.graph.edges()
        items = items + self.n_users
        masked = torch.zeros(self.graph.n_nodes, dtype=torch.bool, device=seeds.device)
        masked[seeds] = True
        kept = ~(masked[users] | masked[items])
        for _ in range(self._mask_depth - 1):
            masked[users[~kept]] = True
            masked[items[~kept]] = True
            kept = ~(masked[users] | masked[items])
        self._tell_of_empty_encoder(kept)
        drawn = torch.randint(self.graph.n_nodes, (self._random_nodes,), device=seeds.device)
        masked[drawn] = True
        pairs = self._decoder_pairs(users[kept], items[kept], masked.nonzero().view(-1))
        pattern = EdgePattern.of(*pairs, self.graph.n_nodes)
        return self.graph.view(kept, renormalise=True), pattern

    def _decoder_pairs(self, users: Tensor, items: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.randint(nodes.numel(), (2, 2 * self.graph.n_edges), device=nodes.device)
        a, b = nodes[drawn]
        loops = torch.arange(self.graph.n_nodes, device=nodes.device)
        return torch.cat([a, b, users, items, loops]), torch.cat([b, a, items, users, loops])

    def _tell_of_empty_encoder(self, kept: Tensor) -> None:
        if self._told or bool(kept.any()):
            return
        self._told = True
        getLogger(__name__).warning(
            "AutoCF masks every edge of the graph: the encoder learns nothing from it. "
            "Lower n_seeds (%d) or mask_depth (%d)",
            self._n_seeds,
            self._mask_depth,
        )
