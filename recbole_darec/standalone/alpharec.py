"""AlphaRec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from recbole_darec.alignment.projection import Projection
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.assemble import item_means
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import ConfigError, Key
from recbole_darec.model.representation_recommender import RepresentationRecommender

_FEW = 32
_CELLS = 2**19  # numbers of a product at a time, which stay in a core's cache


class AlphaRec(RepresentationRecommender):
    """Items are their projected semantic embeddings, users the projected mean of their items'.

    There is no embedding by id: one projection of both kinds, LightGCN's propagation (mean of the
    layers), InfoNCE of cosines with sampled negatives; scores are cosines. Rows without an
    embedding enter the graph as zeros.

    Source: Sheng et al., *Language Representations Can be What Recommenders Need: Findings and
    Potentials*, ICLR 2025; github.com/LehengTHU/AlphaRec, ``models/General/AlphaRec.py``.

    Args:
        config: configuration.
        dataset: RecBole's training dataset with side embeddings of the items; those of users are
            not read.

    Raises:
        ConfigError: if a user has interacted with all items, or if negative items are to be drawn
            otherwise than uniformly.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        "n_layers": Key(int, low=1),
        "projection_layers": Key(int, low=1),
        "projection_hidden": Key(int, low=1, optional=True),
        "projection_activation": Key(str, choices=("leaky_relu", "relu", "gelu", "tanh")),
        "infonce_tau": Key(float, low=0, open_low=True),
        "n_negatives": Key(int, low=1),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -9,-5",
        "n_layers": "choice [1,2,3]",
        "infonce_tau": "choice [0.05,0.1,0.15,0.2]",
    }

    reads_user_texts = False
    semantic: Tensor
    present: Tensor
    edges: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        drawing = config["train_neg_sample_args"]
        if drawing["distribution"] != "uniform" or drawing["dynamic"]:
            raise ConfigError(
                f"key 'train_neg_sample_args' is {drawing}, but AlphaRec draws its n_negatives "
                "uniformly; leave the key out"
            )
        self.graph = BipartiteGraph.from_dataset(dataset)
        if int(self.graph.degrees()[: self.n_users].max()) >= self.n_items - 1:
            raise ConfigError(
                "a user has interacted with all items, so that AlphaRec has none to contrast with; "
                "filter such users out with user_inter_num_interval"
            )
        items: SideEmbeddings = dataset.side_embeddings(dataset.iid_field)
        self.register_buffer("semantic", _inputs(self.graph, items), persistent=False)
        self.register_buffer("present", self.semantic.any(1, keepdim=True), persistent=False)
        users, known = self.graph.edges()
        self.register_buffer("edges", users * self.n_items + known, persistent=False)
        self.n_layers: int = config["n_layers"]
        self._tau: float = config["infonce_tau"]
        self._n_negatives: int = config["n_negatives"]
        self.projection = Projection(
            items.dim,
            config["embedding_size"],
            torch.Generator().manual_seed(int(config["seed"])),
            config["projection_layers"],
            config["projection_hidden"],
            config["projection_activation"],
        )

    def forward(self) -> CollaborativeOutput:
        """Representations of length 1, ``(n_users, embedding_size)`` and ``(n_items, ...)``."""
        # In single precision: what comes back from a row of zeros is too large for half of it.
        ego = self.projection(self.semantic).to(self.semantic.dtype) * self.present
        nodes = self.graph.smooth(ego, self.n_layers)  # their sum, which has the mean's direction
        return CollaborativeOutput(*self.graph.split(F.normalize(nodes)))

    def represent(self, vectors: np.ndarray) -> Tensor:
        """See ``RepresentationRecommender.represent``: what an item without interactions has."""
        rows = torch.as_tensor(vectors, dtype=self.semantic.dtype, device=self.semantic.device)
        projected: Tensor = self.projection(rows)
        return F.normalize(projected)

    def loss_terms(self, interaction: Any) -> dict[str, Tensor]:
        """InfoNCE of each positive item against the batch's negative and further sampled ones."""
        output = self.forward()
        ids = interaction[self.USER_ID]
        positives, negatives = interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID]
        candidates = torch.cat([positives[:, None], negatives[:, None], self._draw(ids)], dim=1)
        cosines = _products(F.embedding(ids, output.users), output.items, candidates)
        first = torch.zeros_like(ids)
        return {"infonce": F.cross_entropy(cosines / self._tau, first)}

    def _draw(self, users: Tensor) -> Tensor:
        """Items unknown to each user, uniform, ``(batch, n_negatives - 1)``."""
        rows = users.repeat_interleave(self._n_negatives - 1)
        items = torch.randint(1, self.n_items, rows.shape, device=users.device)
        again = self._interacted(rows, items).nonzero()[:, 0]
        while len(again):
            items[again] = torch.randint(1, self.n_items, again.shape, device=users.device)
            again = again[self._interacted(rows[again], items[again])]
        return items.view(len(users), -1)

    def _interacted(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether users know items, ``(n,), (n,) -> (n,)``."""
        wanted = users * self.n_items + items
        places = torch.searchsorted(self.edges, wanted).clamp_(max=len(self.edges) - 1)
        found: Tensor = self.edges[places] == wanted
        return found


def _products(users: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """Inner products of user rows ``(b, d)`` with their candidates ``(b, n)`` among the items."""
    # One product with all items is faster than gathering rows, where items are few.
    if len(items) <= _FEW * candidates.shape[1]:
        count = max(1, _CELLS // len(items))
        parts = zip(torch.split(users, count), torch.split(candidates, count), strict=True)
        return torch.cat([(rows @ items.T).gather(1, asked) for rows, asked in parts])
    return (F.embedding(candidates, items) @ users[:, :, None]).squeeze(2)


def _inputs(graph: BipartiteGraph, items: SideEmbeddings) -> Tensor:
    """Semantic rows of users (means of their items') above items; zero where there is none."""
    users, interacted = (ids.numpy() for ids in graph.edges())
    table, present = items.table.numpy(), items.present.numpy()
    means, _ = item_means(users, interacted, graph.n_users, table, present)
    return torch.from_numpy(np.concatenate([means, table]))
