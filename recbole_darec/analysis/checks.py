"""Validation of blocks of rows."""

from __future__ import annotations

import numpy as np


def matrix(rows: np.ndarray, name: str = "rows") -> np.ndarray:
    """``rows`` as float64.

    Raises:
        ValueError: if it is no finite matrix of at least two rows.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not rows.shape[1]:
        raise ValueError(f"{name} must be a matrix of at least two rows, got shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return rows


def paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices of corresponding rows, as float64.

    Raises:
        ValueError: if one is no finite matrix or their numbers of rows differ.
    """
    first, second = matrix(first, "first"), matrix(second, "second")
    if len(first) != len(second):
        raise ValueError(f"rows must correspond, got {len(first)} and {len(second)}")
    return first, second


def constant(rows: np.ndarray) -> bool:
    """Whether all rows are equal, to the precision of float32, in which models compute."""
    spread = float(np.ptp(rows, axis=0).max())
    return spread <= float(np.finfo(np.float32).eps) * float(np.abs(rows).max())
