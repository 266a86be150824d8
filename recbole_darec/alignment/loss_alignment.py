"""Alignments by loss terms: their schedule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from recbole_darec.alignment.base import Alignment
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class LossAlignment(Alignment):
    """An alignment whose terms may grow from 0 and be computed in every k-th step alone, k-fold.

    The latter is the lazy regularisation of StyleGAN2 (Karras et al., CVPR 2020, appendix B).
    """

    keys: ClassVar[Mapping[str, Key]] = {
        "alignment_weight": Key(float, low=0),
        "alignment_warmup": Key(int, low=0),
        "alignment_every": Key(int, low=1),
    }

    steps: Tensor

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        super().__init__(config, dim, users_side, items_side)
        self.warmup: int = config["alignment_warmup"]
        self.every: int = config["alignment_every"]
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """The active terms; each is 0 where no row has an embedding.

        During the first ``alignment_warmup`` steps of training the terms grow linearly to their
        full size; in steps that ``alignment_every`` leaves out they are 0. Args and returns: see
        ``Alignment.forward``.
        """
        names = [name for name in self.term_weights if name in active]
        factor = self._factor()
        if not names or not factor:
            return dict.fromkeys(names, output.users.new_zeros(()))
        terms = self.terms(output, batch, active)
        return {name: terms[name] * factor for name in names}

    def reads(self, batch: Triples) -> Tensor | None:
        """See ``Alignment.reads``; steps that ``alignment_every`` leaves out read no row."""
        return batch.users[:0] if self.leaves_out() else self.rows(batch)

    def rows(self, batch: Triples) -> Tensor | None:
        """What ``terms`` will read beside the batch's rows; see ``Alignment.reads``."""
        return None

    @abstractmethod
    def terms(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """At least the active terms, at full size. Args: see ``Alignment.forward``."""

    def leaves_out(self) -> bool:
        """Whether the coming call of ``forward`` computes nothing."""
        return self.training and int(self.steps) % self.every != 0

    def _factor(self) -> float:
        """What the terms of this call are multiplied with; counts the steps of training."""
        step = int(self.steps)
        ramp = min(1.0, (step + self.training) / self.warmup) if self.warmup else 1.0
        if not self.training:
            return ramp
        left_out = self.leaves_out()
        self.steps += 1
        return 0.0 if left_out else ramp * self.every
