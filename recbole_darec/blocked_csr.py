"""Large sparse matrices as square blocks, each of whose products stays in a CPU's cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recbole_darec.csr_product import weighted_bags
from recbole_darec.freed_memory import keep_freed_memory


class _Block(NamedTuple):
    first_row: int
    entries: slice
    offsets: Tensor


@dataclass(frozen=True)
class BlockedCsr:
    """A square sparse matrix on a CPU whose entries stand block by block.

    A product gathers rows of a dense table at random. Where that table does not fit the cache,
    most of them come from memory; of a block all come from the cache, and so do the sums that it
    adds to. Sums are added in the same order every time, though not in that of ``csr_product``.

    Attributes:
        blocks: non-empty blocks, by rows.
        col: column of each entry, ``(n_entries,)``.
        order: number in the CSR matrix of each entry, int32 ``(n_entries,)``.
        values: ``(n_entries,)``.
    """

    blocks: tuple[_Block, ...]
    col: Tensor
    order: Tensor
    values: Tensor

    @classmethod
    def of(cls, crow: Tensor, col: Tensor, values: Tensor, side: int = 2**15) -> BlockedCsr:
        """The blocks of a square CSR matrix.

        Args:
            crow: offsets of the rows, ``(n + 1,)``.
            col: columns, ascending in each row, ``(n_entries,)``.
            values: ``(n_entries,)``.
            side: rows and columns of a block; 8 MiB of single precision at a width of 64.
        """
        keep_freed_memory()
        order = torch.empty(col.numel(), dtype=torch.int32)
        blocks: list[_Block] = []
        for first in range(0, crow.numel() - 1, side):
            blocks += _sort_rows(crow[first : first + side + 1], col, first, side, order)
        return cls(tuple(blocks), col.index_select(0, order), order, values.index_select(0, order))

    def with_values(self, values: Tensor) -> BlockedCsr:
        """Other values at the same places, in the order of the CSR matrix, ``(n_entries,)``."""
        return replace(self, values=values.index_select(0, self.order))

    def product(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """The matrix times ``x``, ``(n, d) -> (n, d)``, as ``csr_product`` otherwise.

        Args:
            x: ``(n, d)``.
            added: to the product, where given, ``(n, d)``: free of charge.
        """
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            x = x.to(self.values.dtype).contiguous()
            out = torch.zeros_like(x) if added is None else added.to(x.dtype, copy=True)
            for first, entries, offsets in self.blocks:
                bags = weighted_bags(offsets, self.col[entries], self.values[entries], x)
                out[first : first + len(bags)] += bags
            return out


def _sort_rows(crow: Tensor, col: Tensor, first: int, side: int, order: Tensor) -> list[_Block]:
    """Writes the order of some rows' entries and returns their blocks."""
    start, stop, n_rows = int(crow[0]), int(crow[-1]), crow.numel() - 1
    if start == stop:
        return []
    of_entry = col[start:stop].numpy() // side
    n_blocks = int(of_entry.max()) + 1
    # A stable sort leaves the columns of each row ascending; of narrow integers it is a radix sort.
    found = np.argsort(of_entry.astype(np.min_scalar_type(n_blocks)), kind="stable")
    order[start:stop] = torch.from_numpy(found + start)
    rows = np.repeat(np.arange(n_rows), crow.diff().numpy())
    counts = np.bincount(of_entry * n_rows + rows, minlength=n_blocks * n_rows)
    bounds = torch.from_numpy(np.concatenate([[0], counts.cumsum()]).astype(np.int32))
    blocks = []
    for block in range(n_blocks):
        offsets = bounds[block * n_rows : (block + 1) * n_rows + 1]
        low, high = int(offsets[0]), int(offsets[-1])
        if low < high:
            blocks.append(_Block(first, slice(start + low, start + high), offsets - low))
    return blocks
