"""Two representations side by side, whose scores add up."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_darec.backbone.output import CollaborativeOutput


class Known(NamedTuple):
    """Which users ``(n_users,)`` and which items ``(n_items,)`` have rows of their own, bool."""

    users: Tensor
    items: Tensor


class Factors(NamedTuple):
    """What users and items are multiplied with, 0-d each."""

    users: Tensor
    items: Tensor


def concatenated(
    first: CollaborativeOutput, second: CollaborativeOutput, factors: Factors
) -> CollaborativeOutput:
    """Rows side by side, so that inner products are the sum of both.

    Args:
        first: users ``(n_users, d)``, items ``(n_items, d)``.
        second: users ``(n_users, d')``, items ``(n_items, d')``.
        factors: of the second's users and items.

    Returns:
        Users ``(n_users, d + d')``, items ``(n_items, d + d')``, the extras of ``first``.

    Raises:
        ValueError: if the numbers of rows differ.
    """
    if (len(first.users), len(first.items)) != (len(second.users), len(second.items)):
        raise ValueError(
            f"{len(first.users)} users and {len(first.items)} items cannot stand beside "
            f"{len(second.users)} and {len(second.items)}"
        )
    users = second.users * factors.users.to(second.users.dtype)
    items = second.items * factors.items.to(second.items.dtype)
    return CollaborativeOutput(
        torch.cat([first.users, users], dim=1), torch.cat([first.items, items], dim=1), first.extras
    )


def sharing(
    first: CollaborativeOutput, second: CollaborativeOutput, known: Known, share: float
) -> Factors:
    """Factors by which the second's scores have a share of the spread of the first's.

    Between users and items they are such that the second's item rows have that share of the length
    of the first's, so that cosines of items weigh both sides alike.

    Args:
        first: users ``(n_users, d)``, items ``(n_items, d)``.
        second: users ``(n_users, d')``, items ``(n_items, d')``.
        known: the rows that spread and length are of.
        share: at least 0.

    Returns:
        The factors; 0 where the second has no spread.

    Raises:
        ValueError: if ``share`` is negative.
    """
    if share < 0:
        raise ValueError(f"share must be at least 0, got {share}")
    (ours, our_length), (theirs, their_length) = (
        (spread(side.users[known.users], rows), rows.double().square().sum(1).mean().sqrt())
        for side in (first, second)
        for rows in [side.items[known.items]]
    )
    lengths = our_length / their_length
    there = (theirs > 0) & (lengths > 0)
    return Factors(
        torch.where(there, ours / theirs / lengths, 0.0), torch.where(there, share * lengths, 0.0)
    )


def spread(users: Tensor, items: Tensor) -> Tensor:
    """Standard deviation of a user's scores over the items, averaged over the users; 0-d.

    It is computed from the items' covariance, without the scores; 0 where there are no rows.

    Args:
        users: ``(n_users, d)``.
        items: ``(n_items, d)``.
    """
    users, items = users.double(), items.double()
    if not (len(users) and len(items)):
        return users.new_zeros(())
    centred = items - items.mean(0)
    covariance = centred.T @ centred / len(items)
    return ((users @ covariance) * users).sum(1).clamp(min=0).sqrt().mean()


def completed(rows: Tensor, known: Tensor, features: Tensor) -> Tensor:
    """Rows in which those not known are what a linear map of their features makes of them.

    The map, with an intercept, is fitted to the known rows by ridge regression, whose weight is the
    mean squared length of the centred features. Where all rows are known, or none, they stay as
    they are.

    Args:
        rows: ``(n, d)``.
        known: bool ``(n,)``.
        features: ``(n, d')``.
    """
    if known.all() or not known.any():
        return rows
    x, y = features.double(), rows.double()
    x_mean, y_mean = x[known].mean(0), y[known].mean(0)
    x, y = x - x_mean, y[known] - y_mean
    gram = x[known].T @ x[known]
    weight = gram.diagonal().sum() / known.sum()
    ridge = gram + weight.clamp(min=1e-12) * torch.eye(len(gram), dtype=x.dtype, device=x.device)
    found = x @ torch.linalg.solve(ridge, x[known].T @ y) + y_mean
    return torch.where(known[:, None], rows, found.to(rows.dtype))
