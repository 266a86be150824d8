"""Ids that stand twice in a source too large to remember."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd


class RepeatedIds:
    """Finds ids that stand twice by their hashes; ids are looked at only where those are equal."""

    def __init__(self) -> None:
        self._hashes = [np.empty(0, dtype=np.uint64)]

    def add(self, ids: pd.Series) -> None:
        """Take in some ids."""
        self._hashes.append(_hashed(ids))

    def found(self, again: Iterable[pd.Series]) -> list[str]:
        """Those that stand twice.

        Args:
            again: all ids once more, read only if hashes are equal.
        """
        hashes = np.sort(np.concatenate(self._hashes))
        suspects = hashes[1:][hashes[1:] == hashes[:-1]]
        counts: Counter[str] = Counter()
        for ids in again if len(suspects) else ():
            counts.update(ids.map(str)[np.isin(_hashed(ids), suspects)])
        return [identity for identity, count in counts.items() if count > 1]


def _hashed(ids: pd.Series) -> np.ndarray:
    found: np.ndarray = pd.util.hash_array(ids.map(str).to_numpy(dtype=object), categorize=False)
    return found
