"""Scores of users for all items, from any of RecBole's general recommenders or ours."""

from __future__ import annotations

from typing import Any

import torch
from recbole.data.interaction import Interaction
from torch import Tensor

_PAIRS_AT_ONCE = 2**16


@torch.no_grad()
def full_sort_scores(model: Any, users: Tensor) -> Tensor:
    """Scores as RecBole's full-sort evaluation computes them; padding item 0 scores ``-inf``.

    Args:
        model: a model in evaluation mode.
        users: internal ids ``(b,)``.

    Returns:
        ``(b, n_items)`` on the model's device.
    """
    users = users.to(model.device)
    try:
        scores: Tensor = model.full_sort_predict(Interaction({model.USER_ID: users}))
    except NotImplementedError:
        scores = _pairwise_scores(model, users)
    scores = scores.view(len(users), model.n_items).clone()
    scores[:, 0] = -torch.inf
    return scores


def _pairwise_scores(model: Any, users: Tensor) -> Tensor:
    items = torch.arange(model.n_items, device=users.device)
    rows = max(1, _PAIRS_AT_ONCE // len(items))
    parts = []
    for start in range(0, len(users), rows):
        some = users[start : start + rows]
        pairs = {
            model.USER_ID: some.repeat_interleave(len(items)),
            model.ITEM_ID: items.repeat(len(some)),
        }
        parts.append(model.predict(Interaction(pairs)).view(len(some), -1))
    return torch.cat(parts)
