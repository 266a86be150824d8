"""Checks that losses and alignments share."""

from __future__ import annotations

from torch import Tensor

from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError


def require_matrix(name: str, rows: Tensor) -> None:
    """Raise ValueError unless ``rows`` is ``(n, d)``."""
    if rows.ndim != 2:
        raise ValueError(f"{name} must be (n, d), got shape {tuple(rows.shape)}")


def require_same_shape(first: tuple[str, Tensor], second: tuple[str, Tensor]) -> None:
    """Raise ValueError unless both named tensors are ``(n, d)`` with equal n and d."""
    for name, rows in (first, second):
        require_matrix(name, rows)
    if first[1].shape != second[1].shape:
        raise ValueError(
            f"{first[0]} and {second[0]} must have one shape, got "
            f"{tuple(first[1].shape)} and {tuple(second[1].shape)}"
        )


def require_same_rows(first: tuple[str, Tensor], second: tuple[str, Tensor]) -> None:
    """Raise ValueError unless both named tensors are matrices with equally many rows."""
    for name, rows in (first, second):
        require_matrix(name, rows)
    if len(first[1]) != len(second[1]):
        raise ValueError(
            f"{first[0]} and {second[0]} must have equally many rows, got "
            f"{len(first[1])} and {len(second[1])}"
        )


def require_one_width(users: SideEmbeddings, items: SideEmbeddings) -> None:
    """Raise ConfigError unless users' and items' embeddings have the same width."""
    if users.dim != items.dim:
        raise ConfigError(
            f"user embeddings are {users.dim} wide and item embeddings {items.dim}; this alignment "
            "needs one width: encode both with the same text encoder"
        )
