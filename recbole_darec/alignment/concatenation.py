"""Two representations side by side, whose scores add up."""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_darec.backbone.output import CollaborativeOutput


def concatenated(
    first: CollaborativeOutput, second: CollaborativeOutput, share: float
) -> CollaborativeOutput:
    """Rows side by side, so that inner products are those of ``first`` and a share of ``second``.

    The second's are scaled so that their spread is ``share`` times that of the first's, whatever
    lengths the rows of either have.

    Args:
        first: users ``(n_users, d)``, items ``(n_items, d)``.
        second: users ``(n_users, d')``, items ``(n_items, d')``.
        share: at least 0.

    Returns:
        Users ``(n_users, d + d')``, items ``(n_items, d + d')``, the extras of ``first``.

    Raises:
        ValueError: if ``share`` is negative or the numbers of rows differ.
    """
    if share < 0:
        raise ValueError(f"share must be at least 0, got {share}")
    if (len(first.users), len(first.items)) != (len(second.users), len(second.items)):
        raise ValueError(
            f"{len(first.users)} users and {len(first.items)} items cannot stand beside "
            f"{len(second.users)} and {len(second.items)}"
        )
    spreads = spread(first.users, first.items), spread(second.users, second.items)
    factor = torch.where(spreads[1] > 0, share * spreads[0] / spreads[1], 0)
    users = second.users * factor.to(second.users.dtype)
    return CollaborativeOutput(
        torch.cat([first.users, users], dim=1),
        torch.cat([first.items, second.items], dim=1),
        first.extras,
    )


def spread(users: Tensor, items: Tensor) -> Tensor:
    """Standard deviation of a user's scores over the items, averaged over the users; 0-d.

    Row 0 of either is padding. It is computed from the items' covariance, without the scores.

    Args:
        users: ``(n_users, d)``.
        items: ``(n_items, d)``.
    """
    users, items = users[1:].double(), items[1:].double()
    centred = items - items.mean(0)
    covariance = centred.T @ centred / max(1, len(items))
    return ((users @ covariance) * users).sum(1).clamp(min=0).sqrt().mean()
