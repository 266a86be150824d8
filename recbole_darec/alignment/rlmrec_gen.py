"""RLMRec-Gen: masked representations reconstruct their semantic embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from recbole_darec.alignment.checks import require_one_width
from recbole_darec.alignment.infonce import ReconstructionLoss
from recbole_darec.alignment.loss_alignment import LossAlignment
from recbole_darec.alignment.projection import Projection
from recbole_darec.alignment.sampling import draw
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.gather import split_rows
from recbole_darec.keys import Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class RLMRecGen(LossAlignment):
    """Masks input rows and reconstructs their semantic embeddings from what the backbone makes.

    Ren et al., *Representation Learning with Large Language Models for Recommendation*, WWW 2024;
    github.com/HKUDS/RLMRec, ``lightgcn_gene.py``. A share of the rows that have an embedding is
    replaced by a learnable token before propagation; where all rows have one, mask and term equal
    RLMRec's.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **LossAlignment.keys,
        "gen_weight": Key(float, low=0),
        "gen_temperature": Key(float, low=0, open_low=True),
        "gen_mask_ratio": Key(float, low=0, high=1, open_low=True),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "alignment_weight": "choice [0.001, 0.01, 0.1, 1]",
        "gen_temperature": "choice [0.1, 0.2, 0.5, 1]",
        "gen_mask_ratio": "choice [0.05, 0.1, 0.15, 0.2]",
    }
    term_weights: ClassVar[Mapping[str, str]] = {"gen": "gen_weight"}

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        require_one_width(users_side, items_side)
        super().__init__(config, dim, users_side, items_side)
        self.idle = config["alignment_weight"] * config["gen_weight"] == 0
        self.mask_ratio: float = config["gen_mask_ratio"]
        self.loss = ReconstructionLoss(config["gen_temperature"])
        self.prepare(dim)
        # As RLMRec's: of a masked row without interactions only the biases are left.
        self.projection = Projection(dim, users_side.dim, self.generator, draw_biases=True)
        self.present = torch.cat([users_side.present, items_side.present]).nonzero().flatten()
        self.seeds: Tensor | None = None

    def prepare(self, ego_dim: int) -> None:
        """See ``Alignment.prepare``: the token is as wide as the rows that it replaces."""
        self.mask_token = nn.Parameter(torch.zeros(ego_dim))

    def mask(self, ego: Tensor) -> Tensor:
        """Replace ``gen_mask_ratio`` of the rows that have an embedding by the token.

        In evaluation, in steps without the term or where it has no weight, the rows stay as they
        are.

        Args:
            ego: ``(n_users + n_items, ego_dim)``.
        """
        if self.idle or not self.training or self.leaves_out():
            return ego
        count = min(max(int(len(self.present) * self.mask_ratio), 1), len(self.present))
        self.seeds = draw(self.present, count, self.generator).to(ego.device)
        masked = torch.zeros(len(ego), 1, dtype=torch.bool, device=ego.device)
        masked[self.seeds] = True
        return torch.where(masked, self.mask_token, ego)

    def rows(self, batch: Triples) -> Tensor | None:
        """The rows that the last ``mask`` chose."""
        return self.seeds

    def terms(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """Term ``gen`` on the rows that the last ``mask`` chose.

        Args and returns: see ``LossAlignment.terms``.

        Raises:
            RuntimeError: if ``mask`` was not called before.
        """
        if self.seeds is None:
            raise RuntimeError("RLMRecGen reconstructs masked rows: call mask() in each step first")
        users, items = split_rows(self.seeds, len(output.users))
        made = torch.cat([output.users[users], output.items[items]])
        targets = torch.cat([self.users_side.table[users], self.items_side.table[items]])
        return {"gen": self.loss(self.projection(made), targets)}
