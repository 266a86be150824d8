"""Rows of a table."""

from __future__ import annotations

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
