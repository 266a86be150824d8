"""A ranking loss of one side by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.backbone.base import Triples
from recbole_darec.backbone.objectives import bpr_loss
from recbole_darec.backbone.output import CollaborativeOutput


class RankingLoss(nn.Module):
    """BPR of the cosines between users and items: ``softplus((cos(u, n) - cos(u, p)) / t)``.

    Ours, not DaRec's: what the semantic shared parts learn from the interactions by themselves,
    so that they can be scored. Averaged over the triples.

    Args:
        temperature: t, above 0.

    Raises:
        ValueError: if the temperature is not above 0.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, users: Tensor, items: Tensor, batch: Triples) -> Tensor:
        """Loss of the triples; 0 where there is none.

        Args:
            users: ``(k, d)``.
            items: ``(m, d)``.
            batch: row numbers in ``users`` and, twice, in ``items``, ``(b,)`` each.

        Raises:
            ValueError: if users and items differ in width.
        """
        if users.shape[1:] != items.shape[1:]:
            raise ValueError(
                f"users and items must be of one width, got {tuple(users.shape)} and "
                f"{tuple(items.shape)}"
            )
        if not len(batch.users):
            return (users.sum() + items.sum()) * 0.0
        scaled = F.normalize(users, dim=1) / self.temperature
        return bpr_loss(CollaborativeOutput(scaled, F.normalize(items, dim=1)), batch, "softplus")


def known_triples(batch: Triples, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Triples]:
    """The triples of which all three ids are known, each id once.

    Args:
        batch: ids, ``(b,)`` each.
        users: which users are known, bool ``(n_users,)``.
        items: which items are known, bool ``(n_items,)``.

    Returns:
        Distinct ids of users ``(k,)`` and of items ``(m,)``, and the triples as places among them.
    """
    known = users[batch.users] & items[batch.positives] & items[batch.negatives]
    distinct, at = torch.unique(batch.users[known], return_inverse=True)
    pairs = torch.stack([batch.positives, batch.negatives])[:, known]
    distinct_items, places = torch.unique(pairs, return_inverse=True)
    return distinct, distinct_items, Triples(at, places[0], places[1])
