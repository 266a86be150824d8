"""KAR's hybrid-expert adaptor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from recbole_darec.alignment.base import Alignment
from recbole_darec.alignment.checks import require_one_width
from recbole_darec.alignment.projection import Projection
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.gather import add_to_rows, split_rows
from recbole_darec.keys import Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class KAR(Alignment):
    """Adds semantic embeddings, adapted by a mixture of experts, to the scored representation.

    Xi et al., *Towards Open-World Recommendation with Knowledge Augmentation from Large Language
    Models*, RecSys 2024: experts shared by both kinds of knowledge and experts of each kind, mixed
    by a softmax gate of each kind. There the result augments a click-through model; here users and
    items are the two kinds, and a row becomes ``e + alignment_weight * adaptor(text)``. Rows
    without an embedding stay as they are. There is no loss of its own. A step of training encodes
    the batch's rows.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        "alignment_weight": Key(float, low=0),
        "kar_shared_experts": Key(int, low=0),
        "kar_specific_experts": Key(int, low=1),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "alignment_weight": "choice [0.001, 0.003, 0.01, 0.1, 1]",
        "kar_shared_experts": "choice [1, 2, 4]",
        "kar_specific_experts": "choice [1, 2, 4]",
    }
    fuses = True

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        require_one_width(users_side, items_side)
        super().__init__(config, dim, users_side, items_side)
        self.weight: float = config["alignment_weight"]
        self.shared = self._experts(config["kar_shared_experts"])
        self.users_experts = self._experts(config["kar_specific_experts"])
        self.items_experts = self._experts(config["kar_specific_experts"])
        total = config["kar_shared_experts"] + config["kar_specific_experts"]
        self.users_gate = Projection(users_side.dim, total, self.generator, layers=1)
        self.items_gate = Projection(items_side.dim, total, self.generator, layers=1)

    @classmethod
    def fuses_by(cls, config: Mapping[str, Any]) -> bool:
        """See ``Alignment.fuses_by``."""
        return bool(config["alignment_weight"])

    def _experts(self, count: int) -> nn.ModuleList:
        width = self.users_side.dim
        return nn.ModuleList(Projection(width, self.dim, self.generator) for _ in range(count))

    def forward(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """No term: the adaptor learns through the backbone's own loss."""
        return {}

    def reads(self, batch: Triples) -> Tensor | None:
        """No row beside the batch's; see ``Alignment.reads``."""
        return batch.users[:0]

    def fuse(self, output: CollaborativeOutput) -> CollaborativeOutput:
        """The representations with the adapted embeddings added."""
        if not self.fuses:
            return output
        users = output.users + self._users(slice(None))
        items = output.items + self._items(slice(None))
        return CollaborativeOutput(users, items, output.extras)

    def fuse_at(self, rows: Tensor, output: CollaborativeOutput) -> CollaborativeOutput:
        """See ``Alignment.fuse_at``."""
        if not self.fuses:
            return output
        users, items = split_rows(rows, len(output.users))
        return CollaborativeOutput(
            add_to_rows(output.users, users, self._users(users)),
            add_to_rows(output.items, items, self._items(items)),
            output.extras,
        )

    def _users(self, ids: Tensor | slice) -> Tensor:
        return self._adapted(self.users_side, ids, self.users_experts, self.users_gate)

    def _items(self, ids: Tensor | slice) -> Tensor:
        return self._adapted(self.items_side, ids, self.items_experts, self.items_gate)

    def _adapted(
        self, side: SideEmbeddings, ids: Tensor | slice, own: nn.ModuleList, gate: Projection
    ) -> Tensor:
        """What is added to rows of one kind."""
        texts, present = side.table[ids], side.present[ids, None]
        made = torch.stack([expert(texts) for expert in [*self.shared, *own]], dim=2)
        shares = gate(texts).softmax(1).unsqueeze(2)
        adapted: Tensor = (made @ shares).squeeze(2) * present * self.weight
        return adapted
