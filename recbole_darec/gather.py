"""Rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def rows_of(table: Tensor, ids: Tensor) -> Tensor:
    """``table[ids]`` with a backward pass that is fast and gives the same sums every time.

    On a CPU that of ``index_select`` takes a third of the time of the others; on a GPU it adds
    in an order that varies, and that of ``embedding`` does not.

    Args:
        table: ``(n, d)``.
        ids: ``(b,)``, any of them more than once.
    """
    if table.device.type == "cpu":
        return table.index_select(0, ids)
    return F.embedding(ids, table)


def row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each row of one table with that of another, ``(n, d), (n, d) -> (n,)``.

    In single precision at least, under autocast too: half precision has no room for the gradient of
    a mean over a batch, nor for a large margin.
    """
    single = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        products: Tensor = torch.linalg.vecdot(a.to(single), b.to(single))
    return products


def split_rows(rows: Tensor, n_users: int) -> tuple[Tensor, Tensor]:
    """Ids of the users and of the items among numbers of rows, users above items."""
    is_user = rows < n_users
    return rows[is_user], rows[~is_user] - n_users


def add_to_rows(table: Tensor, ids: Tensor, added: Tensor) -> Tensor:
    """A copy of the table with something added to some of its rows.

    Args:
        table: ``(n, d)``.
        ids: ``(k,)``, each once.
        added: ``(k, d)``, of any precision: encoders give half precision under autocast.
    """
    return table.index_add(0, ids, added.to(table.dtype))


class _Densify(torch.autograd.Function):
    """The identity; of a gradient that is sparse it makes a dense one."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        return table.view_as(table)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].to_dense()


_densify: Callable[[Tensor], Tensor] = _Densify.apply


def sampleable(table: Tensor) -> Tensor:
    """The table itself, ready for ``sampled_rows``."""
    return _densify(table) if table.requires_grad and table.device.type == "cpu" else table


def sampled_rows(table: Tensor, ids: Tensor) -> Tensor:
    """``table[ids]`` whose backward pass costs O(b) beside that of other uses of the table.

    The gradient of ``rows_of`` is a table of zeros but for the rows; made and added up again by
    each gather, at 450,000 rows it costs 30 times as much as the rows. Here PyTorch adds the rows
    to the gradient that the other uses have left. Of a table that is not ``sampleable``, and on a
    GPU, it is ``rows_of``.

    Args:
        table: ``(n, d)``, as ``sampleable`` returned it.
        ids: ``(b,)``, any of them more than once.
    """
    if isinstance(table.grad_fn, _Densify._backward_cls):  # type: ignore[attr-defined]
        return F.embedding(ids, table, sparse=True)
    return rows_of(table, ids)
