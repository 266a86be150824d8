"""The user and item vectors whose inner products are a model's scores."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from recbole_darec.inference.scoring import full_sort_scores
from recbole_darec.keys import ConfigError

_CHECKED_USERS = 16


@torch.no_grad()
def scored_vectors(model: Any) -> tuple[Tensor, Tensor]:
    """Vectors of all users ``(n_users, d)`` and items ``(n_items, d)``, row 0 is padding.

    That their inner products are the model's scores is checked on some users.

    Raises:
        ConfigError: if the model does not score by inner products.
    """
    for users, items in _candidates(model):
        some = torch.arange(1, min(len(users), _CHECKED_USERS + 1), device=users.device)
        scores = full_sort_scores(model, some)[:, 1:]
        if torch.allclose(users[some] @ items[1:].T, scores, rtol=1e-4, atol=1e-5):
            return users.detach(), items.detach()
    raise ConfigError(
        f"model {type(model).__name__} does not score by inner products of user and item vectors: "
        "it has no vectors to compare or export"
    )


def _candidates(model: Any) -> list[tuple[Tensor, Tensor]]:
    found = [_forward(model)]
    if hasattr(model, "user_embedding") and hasattr(model, "item_embedding"):
        found.append((model.user_embedding, model.item_embedding))
    pairs = [tuple(getattr(part, "weight", part) for part in pair) for pair in found if pair]
    return [
        (users, items)
        for users, items in pairs
        if isinstance(users, Tensor)
        and isinstance(items, Tensor)
        and (len(users), len(items)) == (model.n_users, model.n_items)
        and users.shape[1:] == items.shape[1:]
    ]


def _forward(model: Any) -> tuple[Any, Any] | None:
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters):
        return None
    output = model()
    if hasattr(output, "users"):
        return output.users, output.items
    return output[:2] if isinstance(output, tuple) and len(output) >= 2 else None
