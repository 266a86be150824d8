"""DaRec: disentangled alignment of collaborative and semantic representations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.centers import PreferenceCenters, cluster_means
from recbole_darec.alignment.concatenation import (
    Factors,
    Known,
    completed,
    concatenated,
    sharing,
)
from recbole_darec.alignment.global_structure import NORMALIZERS, GlobalStructureLoss
from recbole_darec.alignment.local_structure import LocalStructureLoss
from recbole_darec.alignment.loss_alignment import LossAlignment
from recbole_darec.alignment.matching import MATCHINGS
from recbole_darec.alignment.orthogonality import OrthogonalityLoss
from recbole_darec.alignment.projection import ACTIVATIONS, Projection
from recbole_darec.alignment.ranking import RankingLoss, known_triples
from recbole_darec.alignment.sampling import SAMPLINGS, RowSampler
from recbole_darec.alignment.transform import TRANSFORMS, embedding_transform, transformed
from recbole_darec.alignment.uniformity import UniformityLoss
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.gather import add_to_rows, rows_of, sampled_rows, split_rows
from recbole_darec.keys import ConfigError, Key

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples


class Sides(NamedTuple):
    """The same rows on the collaborative and on the semantic side."""

    collaborative: Tensor
    semantic: Tensor


class DaRec(LossAlignment):
    """Splits both sides into specific and shared parts and aligns the shared parts' structure.

    Yang et al., *DaRec: A Disentangled Alignment Framework for Large Language Model and
    Recommender System*, ICDE 2025, arXiv 2408.08231. Four encoders; terms ``or`` (specific and
    shared parts orthogonal), ``uni`` (specific parts uniform), ``glo`` (shared parts have one
    similarity matrix) and ``loc`` (shared parts have the same preference centres). What the text
    available to us leaves open is a key each; docs/method.md says which.

    A step encodes a sample of rows only, and the batch's unless ``score`` is ``backbone``: its
    cost is, on a CPU, independent of the numbers of users and items.
    """

    keys: ClassVar[Mapping[str, Key]] = {
        **LossAlignment.keys,
        "or_weight": Key(float, low=0),
        "uni_weight": Key(float, low=0),
        "glo_weight": Key(float, low=0),
        "loc_weight": Key(float, low=0),
        "rank_weight": Key(float, low=0),
        "rank_temperature": Key(float, low=0, open_low=True),
        "n_sampled": Key(int, low=2),
        "sampling": Key(str, choices=SAMPLINGS),
        "n_centers": Key(int, low=1),
        "kmeans_iterations": Key(int, low=1),
        "kmeans_every": Key(int, low=1),
        "matching": Key(str, choices=MATCHINGS),
        "structure": Key(str, choices=("joint", "separate")),
        "global_normalizer": Key(str, choices=NORMALIZERS),
        "uniformity_t": Key(float, low=0, open_low=True),
        "projection_layers": Key(int, low=1),
        "projection_hidden": Key(int, low=1, optional=True),
        "projection_activation": Key(str, choices=tuple(ACTIVATIONS)),
        "embedding_transform": Key(str, choices=TRANSFORMS),
        "anchor": Key(str, choices=("none", "detach", "raw")),
        "detach": Key(str, choices=("none", "disentanglement")),
        "score": Key(str, choices=("backbone", "sum", "semantic", "concat")),
        "semantic_share": Key(float, low=0),
    }
    search_space: ClassVar[Mapping[str, str]] = {
        "alignment_weight": "choice [0.001, 0.01, 0.1, 1]",
        "n_centers": "choice [2, 4, 8, 16, 50, 100]",
        "n_sampled": "choice [512, 1024, 2048, 4096]",
    }
    term_weights: ClassVar[Mapping[str, str]] = {
        "or": "or_weight",
        "uni": "uni_weight",
        "glo": "glo_weight",
        "loc": "loc_weight",
        "rank": "rank_weight",
    }

    def __init__(
        self,
        config: Mapping[str, Any],
        dim: int,
        users_side: SideEmbeddings,
        items_side: SideEmbeddings,
    ) -> None:
        transform = embedding_transform(users_side, items_side, config["embedding_transform"])
        sides = transformed(users_side, transform), transformed(items_side, transform)
        super().__init__(config, dim, *sides)
        self.transform = transform
        self.anchor: str = config["anchor"]
        self.detach: str = config["detach"]
        self.separate = config["structure"] == "separate"
        self.score: str = config["score"]
        self._sample: tuple[Tensor, Tensor] | None = None
        self.semantic_share: float = config["semantic_share"]
        self._build_encoders(config)
        self._build_losses(config)

    @classmethod
    def check_keys(cls, config: Mapping[str, Any]) -> None:
        """See ``Alignment.check_keys``.

        Raises:
            ConfigError: if semantic shared parts are to be scored that no ranking trains.
        """
        if cls.widens_by(config) and not config["rank_weight"]:
            raise ConfigError(
                "key 'score': concat scores semantic shared parts that only L_rank teaches to "
                "rank, and 'rank_weight' is 0: leave it at 1"
            )

    @classmethod
    def fuses_by(cls, config: Mapping[str, Any]) -> bool:
        """See ``Alignment.fuses_by``."""
        return config["score"] in ("sum", "semantic") and bool(config["alignment_weight"])

    @classmethod
    def widens_by(cls, config: Mapping[str, Any]) -> bool:
        """See ``Alignment.widens_by``."""
        return config["score"] == "concat" and bool(config["alignment_weight"])

    @classmethod
    def active_weights(cls, config: Mapping[str, Any]) -> dict[str, float]:
        """See ``Alignment.active_weights``; L_rank teaches what ``score: concat`` alone reads."""
        weights = super().active_weights(config)
        if config["score"] != "concat":
            weights.pop("rank", None)
        return weights

    def semantic_input(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors ``(m, d_L)`` of the raw embedding space, transformed as the table was."""
        return self.transform(vectors)

    def encoders(self) -> Mapping[str, nn.Module]:
        """See ``Alignment.encoders``."""
        return {
            "C specific": self.collaborative_specific,
            "C shared": self.collaborative_shared,
            "L specific": self.semantic_specific,
            "L shared": self.semantic_shared,
        }

    def _build_encoders(self, config: Mapping[str, Any]) -> None:
        def encoder(d_in: int) -> Projection:
            return Projection(
                d_in,
                self.dim,
                self.generator,
                config["projection_layers"],
                config["projection_hidden"],
                config["projection_activation"],
            )

        self.collaborative_specific = encoder(self.dim)
        self.collaborative_shared = encoder(self.dim)
        self.semantic_specific = encoder(self.users_side.dim)
        self.semantic_shared = encoder(self.users_side.dim)

    def _build_losses(self, config: Mapping[str, Any]) -> None:
        self.sampler = RowSampler(
            self.users_side,
            self.items_side,
            config["n_sampled"],
            config["sampling"],
            self.generator,
        )
        self.orthogonality = OrthogonalityLoss()
        self.uniformity = UniformityLoss(config["uniformity_t"])
        self.global_structure = GlobalStructureLoss(config["global_normalizer"])
        self.local_structure = LocalStructureLoss(config["matching"])
        self.ranking = RankingLoss(config["rank_temperature"])
        width = max(self.dim, self.users_side.dim) if self.anchor == "raw" else self.dim
        self.centers = nn.ModuleList(
            PreferenceCenters(
                config["n_centers"],
                width,
                self.generator,
                config["kmeans_iterations"],
                config["kmeans_every"],
            )
            for _ in range(2 if self.separate else 1)
        )

    def rows(self, batch: Triples) -> Tensor | None:
        """The sample of this step, which ``terms`` will find drawn."""
        self._sample = users, items = self.sampler(batch)
        return torch.cat([users, items + len(self.users_side.table)])

    def terms(
        self, output: CollaborativeOutput, batch: Triples, active: frozenset[str]
    ) -> dict[str, Tensor]:
        """The active terms on a sample of rows; see ``LossAlignment.terms``."""
        users, items = self._sample or self.sampler(batch)
        self._sample = None
        # The terms compare near-equal sums; in half precision their differences would be lost.
        with torch.autocast(output.users.device.type, enabled=False):
            terms = self._terms(self._rows(output, users, items), len(users), active)
            return terms | ({"rank": self._rank(batch)} if "rank" in active else {})

    def _rank(self, batch: Triples) -> Tensor:
        users, items, triples = known_triples(
            batch, self.users_side.present, self.items_side.present
        )
        rows = torch.cat([self.users_side.table[users], self.items_side.table[items]])
        shared = self.semantic_shared(rows)
        loss: Tensor = self.ranking(shared[: len(users)], shared[len(users) :], triples)
        return loss

    def _rows(self, output: CollaborativeOutput, users: Tensor, items: Tensor) -> Sides:
        semantic = torch.cat([self.users_side.table[users], self.items_side.table[items]])
        tables = ((output.users, users), (output.items, items))
        collaborative = torch.cat([sampled_rows(*pair) for pair in tables])
        return Sides(collaborative.to(semantic.dtype), semantic)

    def _terms(self, rows: Sides, n_users: int, active: frozenset[str]) -> dict[str, Tensor]:
        if not len(rows.collaborative):
            return dict.fromkeys(active, rows.collaborative.sum())
        terms: dict[str, Tensor] = {}
        shared = self._shared(rows)
        if active & {"or", "uni"}:
            split = (rows, shared) if self.detach == "none" else self._detached(rows)
            terms |= self._disentanglement(*split, active)
        if active & {"glo", "loc"}:
            terms |= self._structure(rows, shared, n_users, active)
        return terms

    def fuse(self, output: CollaborativeOutput) -> CollaborativeOutput:
        """The representations that are scored, as key ``score`` says.

        ``sum`` adds the collaborative shared and specific part to each row, ``semantic`` the
        semantic shared part to each row that has an embedding. With
        ``alignment_weight: 0`` nothing is added: that is the bare backbone.
        """
        if not self.fuses:
            return output
        users = output.users + self._added(output.users, self.users_side, slice(None))
        items = output.items + self._added(output.items, self.items_side, slice(None))
        return CollaborativeOutput(users, items, output.extras)

    def fuse_at(self, rows: Tensor, output: CollaborativeOutput) -> CollaborativeOutput:
        """See ``Alignment.fuse_at``."""
        if not self.fuses:
            return output
        users, items = split_rows(rows, len(output.users))
        return CollaborativeOutput(
            add_to_rows(output.users, users, self._added(output.users, self.users_side, users)),
            add_to_rows(output.items, items, self._added(output.items, self.items_side, items)),
            output.extras,
        )

    def scored(self, output: CollaborativeOutput) -> CollaborativeOutput:
        """See ``Alignment.scored``; ``concat`` puts cosines of semantic shared parts beside.

        Items without an embedding get what the backbone's rows tell of those of the others.
        """
        if not self.widens:
            return self.fuse(output)
        return concatenated(output, *self._beside(output))

    def beside(self, output: CollaborativeOutput, vectors: np.ndarray) -> Tensor | None:
        """See ``Alignment.beside``: with ``concat``, what each text's own shared part is."""
        if not self.widens:
            return None
        table = self.items_side.table
        rows = torch.as_tensor(self.semantic_input(vectors), dtype=table.dtype, device=table.device)
        return self._ranked(rows) * self._beside(output)[1].items.to(table.dtype)

    def _beside(self, output: CollaborativeOutput) -> tuple[CollaborativeOutput, Factors]:
        users, items = (self._ranked(side.table) for side in (self.users_side, self.items_side))
        known = Known(self.users_side.present, self.items_side.present)
        second = CollaborativeOutput(
            users * known.users[:, None], completed(items, known.items, output.items)
        )
        return second, sharing(output, second, known, self.semantic_share)

    def _ranked(self, rows: Tensor) -> Tensor:
        """Rows whose inner products are the cosines that L_rank is of."""
        return F.normalize(self.semantic_shared(rows), dim=1)

    def _added(self, table: Tensor, side: SideEmbeddings, ids: Tensor | slice) -> Tensor:
        """What is added to rows of one kind."""
        added: Tensor
        if self.score == "sum":
            rows = table[ids] if isinstance(ids, slice) else rows_of(table, ids)
            added = self.collaborative_shared(rows) + self.collaborative_specific(rows)
        else:
            added = self.semantic_shared(side.table[ids]) * side.present[ids, None]
        return added

    def _disentanglement(
        self, rows: Sides, shared: Sides, active: frozenset[str]
    ) -> dict[str, Tensor]:
        specific = Sides(
            self.collaborative_specific(rows.collaborative), self.semantic_specific(rows.semantic)
        )
        terms = {}
        if "or" in active:
            pairs = zip(specific, shared, strict=True)
            terms["or"] = torch.stack([self.orthogonality(*pair) for pair in pairs]).sum()
        if "uni" in active:
            terms["uni"] = torch.stack([self.uniformity(side) for side in specific]).sum()
        return terms

    def _structure(
        self, rows: Sides, shared: Sides, n_users: int, active: frozenset[str]
    ) -> dict[str, Tensor]:
        if self.anchor == "detach":
            shared = Sides(shared.collaborative, shared.semantic.detach())
        found: dict[str, list[Tensor]] = {name: [] for name in ("glo", "loc") if name in active}
        n = len(rows.semantic)
        bounds = [0, n_users, n] if self.separate else [0, n]
        for kind, (start, stop) in enumerate(pairwise(bounds)):
            if start == stop:
                continue
            part = Sides(shared.collaborative[start:stop], shared.semantic[start:stop])
            raw = rows.semantic[start:stop]
            if "glo" in found:
                theirs = raw if self.anchor == "raw" else part.semantic
                found["glo"].append(self.global_structure(part.collaborative, theirs))
            if "loc" in found:
                found["loc"].append(self._local(part, raw, kind))
        return {name: torch.stack(values).mean() for name, values in found.items()}

    def _local(self, shared: Sides, raw: Tensor, kind: int) -> Tensor:
        centers = self.centers[kind]
        assert isinstance(centers, PreferenceCenters)
        width = centers.centers.shape[2]
        clustered = (shared.collaborative, raw if self.anchor == "raw" else shared.semantic)
        # Columns of zeros change no distance.
        points = torch.stack([F.pad(side, (0, width - side.shape[1])) for side in clustered])
        labels = centers(points.detach())
        count = min(centers.centers.shape[1], len(raw))
        loss: Tensor = self.local_structure(*cluster_means(torch.stack(shared), labels, count))
        return loss

    def _shared(self, rows: Sides) -> Sides:
        return Sides(
            self.collaborative_shared(rows.collaborative), self.semantic_shared(rows.semantic)
        )

    def _detached(self, rows: Sides) -> tuple[Sides, Sides]:
        rows = Sides(rows.collaborative.detach(), rows.semantic)
        return rows, self._shared(rows)
