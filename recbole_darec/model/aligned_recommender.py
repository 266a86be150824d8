"""A backbone with an alignment (or none) as a RecBole recommender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recbole_darec.alignment.base import Alignment
from recbole_darec.backbone.base import Backbone
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.fit import require_fit
from recbole_darec.keys import ConfigError
from recbole_darec.model.representation_recommender import RepresentationRecommender
from recbole_darec.registry import alignment_class, backbone_class


class AlignedRecommender(RepresentationRecommender):
    """A RecBole model made of parts: a collaborative backbone and, maybe, an alignment.

    Args:
        config: configuration; ``backbone`` names the backbone and ``config.alignment_part`` the
            alignment.
        dataset: RecBole's training dataset, with side embeddings where there is an alignment.

    Raises:
        ConfigError: if the backbone cannot serve, or not with this alignment.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.backbone: Backbone = backbone_class(config["backbone"]).from_dataset(config, dataset)
        self.alignment = _build_alignment(config, dataset, self.backbone)
        self._weights = {} if self.alignment is None else self.alignment.active_weights(config)

    def generators(self) -> list[torch.Generator]:
        """Random generators of its own, whose state a resumed run needs."""
        return [] if self.alignment is None else [self.alignment.generator]

    def begin_epoch(self, epoch: int) -> None:
        """See ``Backbone.begin_epoch``."""
        self.backbone.begin_epoch(epoch)

    def forward(self) -> CollaborativeOutput:
        """The representations that are scored."""
        output = self.backbone()
        return self.alignment.scored(output) if self.alignment is not None else output

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """See ``Backbone.score``."""
        return self.backbone.score(users, items)

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """See ``Backbone.score_pairs``."""
        return self.backbone.score_pairs(users, items)

    def loss_terms(self, interaction: Any) -> dict[str, Tensor]:
        """The backbone's own terms and the weighted terms of the alignment."""
        alignment = self.alignment
        active = frozenset(self._weights)
        ego = self.backbone.ego()
        if alignment is not None and active:
            ego = alignment.mask(ego)
        rows = self._rows_read(interaction)
        output = self.backbone(ego) if rows is None else self.backbone.forward_at(rows, ego)
        if alignment is None:
            return self.backbone.loss(interaction, output)
        fused = alignment.fuse(output) if rows is None else alignment.fuse_at(rows, output)
        terms = self.backbone.loss(interaction, fused)
        if active:
            raw = alignment(output, self.backbone.triples(interaction), active)
            self._check_terms(terms, raw)
            terms |= {name: weight * raw[name] for name, weight in self._weights.items()}
        return terms

    def _check_terms(self, own: Mapping[str, Tensor], raw: Mapping[str, Tensor]) -> None:
        name = type(self.alignment).__name__
        if clash := sorted(own.keys() & self._weights.keys()):
            raise ConfigError(
                f"alignment '{name}' and the backbone both have a term '{clash[0]}', of which one "
                "would be lost; rename it in the alignment's term_weights and forward"
            )
        if lacking := sorted(self._weights.keys() - raw.keys()):
            raise ConfigError(
                f"alignment '{name}' declares a term '{lacking[0]}' in term_weights, which its "
                f"forward does not return: that has {', '.join(sorted(raw)) or 'none'}"
            )

    def _rows_read(self, interaction: Any) -> Tensor | None:
        """Numbers of the rows that a step reads, users above items; None where all cost no more."""
        fuses = self.alignment is not None and self.alignment.fuses
        costly = fuses or self.backbone.rows_cost or self.backbone.graph.is_large
        cheaper = self.backbone.reads_batch and costly
        if not (self.training and cheaper):
            return None
        batch, n_users = self.backbone.triples(interaction), self.backbone.n_users
        rows = [batch.users, batch.positives + n_users, batch.negatives + n_users]
        if self.alignment is not None and (self._weights or fuses):
            more = self.alignment.reads(batch)
            if more is None:
                return None
            rows.append(more)
        distinct: Tensor = torch.unique(torch.cat(rows))
        return distinct


def _build_alignment(config: Any, dataset: Any, backbone: Backbone) -> Alignment | None:
    if config.alignment_part is None:
        return None
    # Whatever a third party's alignment draws at its construction, the backbone's random numbers
    # stay those of a bare run.
    with torch.random.fork_rng(devices=[]):
        alignment = alignment_class(config.alignment_part.name)(
            config,
            backbone.dim,
            dataset.side_embeddings(dataset.uid_field),
            dataset.side_embeddings(dataset.iid_field),
        )
        alignment.prepare(backbone.ego().shape[1])
    require_fit(
        config.alignment_part.name,
        config["backbone"],
        unread=alignment.fuses and not backbone.fusible,
        unlike=alignment.widens and not backbone.by_product,
    )
    return alignment
