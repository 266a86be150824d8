"""Rows of a table, and gradients that add up repeated rows."""

import pytest
import torch

from recbole_darec.gather import row_dot, rows_of, sampleable, sampled_rows


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


IDS = torch.tensor([4, 1, 4, 0, 4])


def test_sampled_rows_are_rows_with_exact_gradients():
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(sampled_rows(sampleable(table), IDS), table[IDS])
    assert torch.autograd.gradcheck(lambda t: sampled_rows(sampleable(t), IDS), table)


def test_sampled_rows_beside_other_uses_of_the_table():
    def several(t):
        t = sampleable(t)
        picked = [sampled_rows(t, IDS), rows_of(t, IDS[1:]), sampled_rows(t, IDS[:2])]
        return torch.cat([*picked, t.sin()])

    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(several, table)


def gradient(table, rows):
    table = table.detach().requires_grad_()
    users, items = (sampleable(part) for part in table.split([30, 20]))
    picked = [rows_of(users, torch.arange(9)), rows(users, IDS), rows(items, IDS)]
    torch.cat(picked).square().sum().backward()
    return table.grad


def test_both_ways_give_the_same_dense_gradient():
    table = torch.randint(-9, 9, (50, 4)).float()
    found = gradient(table, sampled_rows)
    assert found.layout == torch.strided
    # Sums of small integers are exact in any order.
    assert torch.equal(found, gradient(table, rows_of))


def test_no_table_is_made_for_the_gradient_of_a_sample():
    table = sampleable(torch.randn(1000, 8, requires_grad=True) * 1)
    seen = []
    picked = sampled_rows(table, IDS)
    picked.grad_fn.register_hook(lambda inputs, _: seen.append(inputs[0]))
    picked.sum().backward()
    assert seen[0].is_sparse
    assert seen[0]._values().shape == (5, 8)


def test_a_table_that_is_not_prepared_has_a_dense_gradient():
    table = torch.randn(5, 3, requires_grad=True)
    sampled_rows(table, IDS).sum().backward()
    assert table.grad.layout == torch.strided
    with torch.no_grad():
        assert torch.equal(sampled_rows(sampleable(table), IDS), table[IDS])


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_row_dot_under_autocast_keeps_what_half_precision_has_no_room_for(half):
    first = torch.randn(4096, 8, requires_grad=True)
    second = torch.randn(4096, 8)
    with torch.autocast("cpu", dtype=half):
        mean = row_dot(first, second).mean() * 1e-5
        large = row_dot(first * 1e3, second * 1e3)
    (gradient,) = torch.autograd.grad(mean, first)
    torch.testing.assert_close(gradient, second * 1e-5 / 4096)
    torch.testing.assert_close(
        large, (first.double() * second * 1e6).sum(1).float(), rtol=1e-4, atol=1
    )


def test_row_dot_of_double_rows_is_double():
    rows = torch.randn(4, 3, dtype=torch.float64)
    assert row_dot(rows, rows.float()).dtype == torch.float64
