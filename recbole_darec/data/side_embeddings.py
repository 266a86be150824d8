"""Semantic embeddings of users or items, aligned with RecBole's internal ids."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn


class SideEmbeddings(nn.Module):
    """A frozen table of semantic embeddings with a mask of the rows that really have one.

    Row 0 belongs to RecBole's padding id: it is zero and never present. The table is a
    non-persistent buffer: it moves with the model, but no checkpoint contains it.

    Args:
        table: float32 ``(n, d_L)``.
        present: bool ``(n,)``, False where a row stands for nothing (padding, no text).

    Raises:
        ValueError: if shapes disagree, a value is not finite or the padding row is present.
    """

    table: Tensor
    present: Tensor

    def __init__(self, table: np.ndarray, present: np.ndarray) -> None:
        super().__init__()
        if table.ndim != 2 or present.shape != (len(table),):
            raise ValueError(
                f"table must be (n, d) and present (n,), got {table.shape} and {present.shape}"
            )
        if not np.isfinite(table).all():
            raise ValueError("side embeddings contain NaN or infinite values")
        if len(present) and present[0]:
            raise ValueError("row 0 is RecBole's padding id and cannot have an embedding")
        table = np.ascontiguousarray(table, dtype=np.float32)
        self.register_buffer("table", torch.from_numpy(table), persistent=False)
        self.register_buffer("present", torch.from_numpy(present.astype(bool)), persistent=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape, table and mask."""
        table = self.table.cpu().numpy()
        digest = hashlib.sha256(repr(table.shape).encode())
        digest.update(table.data)
        digest.update(self.present.cpu().numpy().data)
        return digest.hexdigest()

    @property
    def dim(self) -> int:
        """Width d_L of the embeddings."""
        return self.table.shape[1]

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """The table, wherever the model has moved it, and the mean of the rows that are present."""
        table = self.table.cpu().numpy()
        return table, table[self.present.cpu().numpy()].mean(axis=0)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def coverage(self) -> float:
        """Share of real rows (without padding) that have an embedding."""
        return float(self.present[1:].float().mean()) if len(self) > 1 else 0.0
