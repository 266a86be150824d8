"""Rows of a table, and gradients that add up repeated rows."""

import torch

from recbole_darec.gather import rows_of


def test_rows_and_gradients_of_repeated_rows():
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([4, 1, 4, 0, 4])
    assert torch.equal(rows_of(table, ids), torch.stack([table[i] for i in ids.tolist()]))
    assert torch.autograd.gradcheck(lambda t: rows_of(t, ids), table)


def test_the_gradient_is_the_same_every_time():
    table = torch.randn(50, 8, requires_grad=True)
    ids, upstream = torch.randint(0, 50, (5000,)), torch.randn(5000, 8)
    first, second = (torch.autograd.grad(rows_of(table, ids), table, upstream) for _ in range(2))
    assert torch.equal(first[0], second[0])
