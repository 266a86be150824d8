"""RLMRec-Con: contrastive alignment with projected semantic embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from recbole_darec.alignment.checks import require_one_width
from recbole_darec.alignment.infonce import InfoNCELoss
from recbole_darec.alignment.loss_alignment import LossAlignment
from recbole_darec.alignment.projection import Projection
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.gather import rows_of
from recbole_darec.keys import Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class RLMRecCon(LossAlignment):
    """InfoNCE between the backbone's and the projected semantic representations of a batch.

    Ren et al., *Representation Learning with Large Language Models for Recommendation*, WWW 2024;
    github.com/HKUDS/RLMRec, ``lightgcn_plus.py``. Users are contrasted against all users, positive
    and negative items each against those of the batch. Rows without an embedding are left out;
    where all have one, the term equals RLMRec's.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **LossAlignment.keys,
        "con_weight": Key(float, low=0),
        "con_temperature": Key(float, low=0, open_low=True),
        "con_user_negatives": Key(str, choices=("all", "batch")),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "alignment_weight": "choice [0.0001, 0.001, 0.01, 0.1, 1]",
        "con_temperature": "choice [0.1, 0.2, 0.5]",
    }
    term_weights: ClassVar[Mapping[str, str]] = {"con": "con_weight"}

    present_users: Tensor

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        require_one_width(users_side, items_side)
        super().__init__(config, dim, users_side, items_side)
        self.all_users = config["con_user_negatives"] == "all"
        self.loss = InfoNCELoss(config["con_temperature"])
        self.projection = Projection(users_side.dim, dim, self.generator)
        present = users_side.present.nonzero().flatten()
        self.register_buffer("present_users", present, persistent=False)

    def encoders(self) -> Mapping[str, nn.Module]:
        """See ``Alignment.encoders``."""
        return {"L projected": self.projection}

    def rows(self, batch: Triples) -> Tensor | None:
        """No row beside the batch's: all users are those of the texts."""
        return batch.users[:0]

    def terms(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """Term ``con``; see ``LossAlignment.terms``."""
        users = batch.users[self.users_side.present[batch.users]]
        distinct, counts = torch.unique(users, return_counts=True)
        ids = self.present_users if self.all_users else distinct
        projected = self.projection(self.users_side.table[ids])
        positives = rows_of(projected, torch.searchsorted(ids, distinct))
        total = self.loss(rows_of(output.users, distinct), positives, projected, counts)
        for items in (batch.positives, batch.negatives):
            items = items[self.items_side.present[items]]
            distinct, counts = torch.unique(items, return_counts=True)
            projected = self.projection(self.items_side.table[distinct])
            anchors = rows_of(output.items, distinct)
            total = total + self.loss(anchors, projected, projected, counts, counts)
        return {"con": total}
