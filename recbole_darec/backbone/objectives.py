"""Terms that the objectives of several backbones share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from recbole.model.loss import BPRLoss
from torch import Tensor

from recbole_darec.backbone.base import Triples
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.gather import row_dot, rows_of

_GAMMA: float = BPRLoss().gamma


def bpr_loss(output: CollaborativeOutput, batch: Triples, form: str = "recbole") -> Tensor:
    """Bayesian personalised ranking over a batch, averaged.

    Args:
        output: representations of all users and items.
        batch: users, positive and negative items, ``(b,)`` each.
        form: ``recbole``, ``-log(1e-10 + sigmoid(pos - neg))``, or ``softplus``,
            ``softplus(neg - pos)``; they differ for margins below -20 alone.

    Source: Rendle et al., UAI 2009; RecBole's ``BPRLoss``; RLMRec's ``cal_bpr_loss``.
    """
    users = rows_of(output.users, batch.users)
    items = rows_of(output.items, torch.cat([batch.positives, batch.negatives]))
    positives, negatives = torch.split(items, batch.positives.numel())
    margin = row_dot(users, positives - negatives)
    if form == "softplus":
        return F.softplus(-margin).mean()
    return -torch.log(_GAMMA + torch.sigmoid(margin)).mean()


def batch_l2(table: Tensor, batch: Triples, n_users: int, squared: bool) -> Tensor:
    """L2 of the batch's rows of the embedding table, as RecBole's ``EmbLoss``.

    Args:
        table: users above items, ``(n_users + n_items, d)``.
        batch: users, positive and negative items, ``(b,)`` each.
        n_users: number of rows that belong to users.
        squared: half the squared norms in the place of the norms.
    """
    squares = row_dot(table, table)
    sums = [
        squares[rows].sum()
        for rows in (batch.users, batch.positives + n_users, batch.negatives + n_users)
    ]
    total = torch.stack(sums)
    return (total / 2 if squared else total.sqrt()).sum() / batch.users.numel()


def parameter_l2(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of the squares of all parameters, as RLMRec's ``reg_params``."""
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()
