"""The contract of a text encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np


class Encoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: for people to read.
        specification: all that decides the vectors besides the text; values fit for json. Two
            encoders with equal specifications give equal vectors.
        chunk: how many texts are best encoded, and then stored, at once.
        concurrency: how many calls of ``encode`` may run at the same time.
        counts_exactly: whether ``token_counts`` counts or estimates.
    """

    name: str
    specification: Mapping[str, str | int | bool | None]
    chunk: int
    concurrency: int
    counts_exactly: bool

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts in their order, float32 ``(len(texts), d_L)``."""

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int | None]:
        """Tokens of each text before any cut, and the limit beyond which they are cut."""
