"""Samples of rows."""

from __future__ import annotations

import numpy as np


def sample(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most ``most`` of the rows, in order."""
    if len(rows) <= most:
        return rows
    chosen: np.ndarray = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return chosen
