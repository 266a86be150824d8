"""The scores of a finished run from one file of its folder, without model, data or PyTorch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

FILE_NAME = "serving.npz"
_PARTS = ("train", "valid", "test", "dropped")


@dataclass(frozen=True)
class SavedScorer:
    """Scores that are inner products, with what is needed to serve them.

    Attributes:
        user_ids: external ids by internal id, ``(n_users,)``; 0 is RecBole's padding.
        item_ids: the same of the items, ``(n_items,)``.
        titles: of the items, empty where unknown, ``(n_items,)``.
        vectors: of users ``(n_users, d)`` and of items ``(n_items, d)``, float32.
        history: who interacted with what in the training, validation and test part, and what
            ``dropped_pairs`` found, each ``(n_users, n_items)``.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray
    vectors: tuple[np.ndarray, np.ndarray]
    history: tuple[sp.csr_matrix, ...]

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Scores of users, by internal id, for all items: ``(b, n_items)``, padding ``-inf``."""
        scores: np.ndarray = self.vectors[0][users] @ self.vectors[1].T
        scores[:, 0] = -np.inf
        return scores

    def save(self, folder: Path) -> None:
        """Write ``serving.npz`` into a run folder, whole or not at all."""
        names = ("user_ids", "item_ids", "titles")
        arrays: dict[str, Any] = {name: _packed(getattr(self, name)) for name in names}
        arrays["users"], arrays["items"] = self.vectors
        for part, matrix in zip(_PARTS, self.history, strict=True):
            arrays[f"{part}_indices"], arrays[f"{part}_indptr"] = matrix.indices, matrix.indptr
        with replacing(folder / FILE_NAME) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # vectors do not compress

    @classmethod
    def load(cls, folder: Path) -> SavedScorer:
        """Read that of a run folder.

        Raises:
            ConfigError: if the file is not one that ``save`` wrote.
        """
        file = folder / FILE_NAME
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return cls._of(arrays)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"{file} is not what a run of this package writes: {error}"
            ) from error

    @classmethod
    def _of(cls, arrays: Mapping[str, np.ndarray]) -> SavedScorer:
        users, items = arrays["users"], arrays["items"]
        shape = (len(users), len(items))
        user_ids, item_ids, titles = (
            _unpacked(arrays[name], length)
            for name, length in zip(
                ("user_ids", "item_ids", "titles"), (*shape, shape[1]), strict=True
            )
        )
        if users.ndim != 2 or users.dtype != np.float32 or items.dtype != np.float32:
            raise ValueError("its vectors are not rows of float32")
        if users.shape[1:] != items.shape[1:]:
            raise ValueError("users and items have vectors of different width")
        # Runs from before ``dropped_pairs`` have no such part.
        parts = _PARTS if "dropped_indptr" in arrays else _PARTS[:3]
        history = tuple(_matrix(arrays, part, shape) for part in parts)
        return cls(user_ids, item_ids, titles, (users, items), history)


def _packed(texts: np.ndarray) -> np.ndarray:
    """As UTF-8; an array of strings would give each the room of the longest."""
    return np.frombuffer(json.dumps(texts.tolist(), ensure_ascii=False).encode(), dtype=np.uint8)


def _unpacked(packed: np.ndarray, length: int) -> np.ndarray:
    texts = json.loads(packed.tobytes())
    if not isinstance(texts, list) or len(texts) != length:
        raise ValueError(f"ids or titles are not {length}, as many as there are vectors")
    return np.array(texts, dtype=object)


def _matrix(arrays: Mapping[str, np.ndarray], part: str, shape: tuple[int, int]) -> sp.csr_matrix:
    indices, indptr = arrays[f"{part}_indices"], arrays[f"{part}_indptr"]
    matrix = sp.csr_matrix((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    return matrix
