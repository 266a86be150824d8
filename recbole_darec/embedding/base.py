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
    """

    name: str
    specification: Mapping[str, str | int | bool | None]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts in their order, float32 ``(len(texts), d_L)``."""
