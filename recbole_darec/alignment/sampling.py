"""Which rows an alignment sees in a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recbole_darec.data.side_embeddings import SideEmbeddings

if TYPE_CHECKING:
    from recbole_darec.backbone.base import Triples

SAMPLINGS = ("random", "batch")


class RowSampler:
    """Draws up to ``n_sampled`` different users and items that have an embedding.

    Half of the sample are users and half items; where one kind has fewer rows, the other fills
    up. The cost of a draw is O(n_sampled) (``random``: ``numpy.random.Generator.choice`` without
    replacement) or O(batch) (``batch``), whatever the numbers of users and items.

    Args:
        users: side embeddings of the users.
        items: side embeddings of the items.
        n_sampled: number of rows, at least 2.
        sampling: ``random`` gives each row with an embedding the same chance; ``batch`` draws
            from the users and positive items of the step.
        generator: the source of chance (CPU).

    Raises:
        ValueError: if ``n_sampled`` is below 2 or the sampling is unknown.
    """

    def __init__(
        self,
        users: SideEmbeddings,
        items: SideEmbeddings,
        n_sampled: int,
        sampling: str,
        generator: torch.Generator,
    ) -> None:
        if n_sampled < 2:
            raise ValueError(f"n_sampled must be at least 2, got {n_sampled}")
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling {sampling!r} is not one of {', '.join(SAMPLINGS)}")
        self.sides = (users, items)
        self.n_sampled, self.sampling, self.generator = n_sampled, sampling, generator
        self.present = [side.present.nonzero().flatten().cpu() for side in self.sides]

    def __call__(self, batch: Triples) -> tuple[Tensor, Tensor]:
        """Ids of users and of items, without repetition, on the device of the batch."""
        if self.sampling == "batch":
            ids: tuple[Tensor, Tensor] = (torch.unique(batch.users), torch.unique(batch.positives))
            users, items = (
                row[side.present[row]] for row, side in zip(ids, self.sides, strict=True)
            )
        else:
            users, items = self.present
        n_users, n_items = len(users), len(items)
        n_users = min(n_users, max(self.n_sampled // 2, self.n_sampled - n_items))
        n_items = min(n_items, self.n_sampled - n_users)
        device = batch.users.device
        return (
            draw(users, n_users, self.generator).to(device),
            draw(items, n_items, self.generator).to(device),
        )


def draw(ids: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` of ``ids`` without replacement, at a cost of O(count); in order if all.

    Args:
        ids: ``(n,)``.
        count: at most n.
        generator: the source of chance (CPU).
    """
    if count == len(ids):
        return ids
    seed = int(torch.randint(2**62, (), generator=generator))
    chosen = np.random.default_rng(seed).choice(len(ids), count, replace=False, shuffle=False)
    return ids[torch.from_numpy(chosen).to(ids.device)]
