"""The ranking loss of one side by itself, against plain loops."""

import math

import pytest
import torch

from recbole_darec.alignment.ranking import RankingLoss, known_triples
from recbole_darec.backbone.base import Triples


def rows(count, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def triples(users, positives, negatives):
    return Triples(*(torch.tensor(ids) for ids in (users, positives, negatives)))


BATCH = triples([0, 2, 2, 1], [0, 3, 1, 1], [4, 0, 2, 1])


def test_it_is_bpr_of_cosines():
    users, items = rows(3), rows(5, seed=1)
    expected = 0.0
    for u, p, n in zip(*(ids.tolist() for ids in BATCH), strict=True):
        unit = [row / math.sqrt(sum(x * x for x in row)) for row in (users[u], items[p], items[n])]
        margin = (float(unit[0] @ unit[1]) - float(unit[0] @ unit[2])) / 0.3
        expected += math.log(1 + math.exp(-margin)) / 4
    assert RankingLoss(0.3)(users, items, BATCH).item() == pytest.approx(expected, rel=1e-12)


def test_gradients():
    users, items = rows(3).requires_grad_(), rows(5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, i: RankingLoss(0.3)(u, i, BATCH), (users, items))


def test_without_triples_it_is_0_and_has_a_gradient():
    users, items = rows(0).requires_grad_(), rows(2).requires_grad_()
    loss = RankingLoss(0.15)(users, items, triples([], [], []))
    loss.backward()
    assert loss.item() == 0
    assert not items.grad.any()


def test_triples_with_an_unknown_id_are_left_out():
    users = torch.tensor([False, True, False, True])
    items = torch.tensor([False, True, True, False, True])
    batch = triples([1, 2, 3, 3, 1], [1, 1, 2, 1, 4], [2, 2, 4, 3, 1])
    at_users, at_items, left = known_triples(batch, users, items)
    named = [
        (at_users[u].item(), at_items[p].item(), at_items[n].item())
        for u, p, n in zip(*left, strict=True)
    ]
    assert named == [(1, 1, 2), (3, 2, 4), (1, 4, 1)]
    assert at_users.tolist() == [1, 3]
    assert at_items.tolist() == [1, 2, 4]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        RankingLoss(0)
    with pytest.raises(ValueError, match=r"of one width, got \(3, 5\) and \(5, 4\)"):
        RankingLoss(1.0)(rows(3), rows(5, 4), BATCH)
