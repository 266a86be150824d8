"""Where in the store the vector of each text lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from recbole_darec.keys import ConfigError

KEYS_SUFFIX = ".keys.npy"


class StoreIndex:
    """The vectors of one encoder as they are now; later shards are not seen.

    Memory holds the keys of all texts (about 56 bytes each), the vectors stay on disk. ``width``
    is the vectors' d_L, None where nothing is stored.

    Args:
        folder: of the encoder; need not exist.

    Raises:
        ConfigError: if a shard is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._files: list[Path] = []
        self.width: int | None = None
        keys = []
        for file in shard_files(folder):
            try:
                shard_keys, matrix = _open(file)
            except FileNotFoundError:
                continue
            self.width = matrix.shape[1]
            keys.append(shard_keys)
            self._files.append(file)
        sizes = [len(each) for each in keys]
        joined = np.concatenate([np.empty(0, "S32"), *keys])
        order = np.argsort(joined, kind="stable")
        self._keys = joined[order]
        self._shard = np.repeat(np.arange(len(keys), dtype=np.int32), sizes)[order]
        starts = np.repeat(np.cumsum([0, *sizes])[:-1], sizes)
        self._row = (np.arange(len(joined)) - starts)[order].astype(np.int32)

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Which of these keys are stored, bool ``(len(keys),)``."""
        return self._positions(keys) >= 0

    def vectors(self, keys: np.ndarray) -> np.ndarray:
        """Vectors of those keys that are stored, in their order, float32 ``(n_stored, d_L)``.

        Raises:
            ConfigError: if a shard is damaged.
            FileNotFoundError: if one has been removed meanwhile.
        """
        at = self._positions(keys)
        at = at[at >= 0]
        if not len(at):
            return np.empty((0, 0), dtype=np.float32)
        shards, rows = self._shard[at], self._row[at]
        by_shard = np.argsort(shards, kind="stable")
        bounds = np.flatnonzero(np.diff(shards[by_shard])) + 1
        vectors: np.ndarray | None = None
        for part in np.split(by_shard, bounds):
            # Opened one after the other: an open map holds a file descriptor.
            _, matrix = _open(self._files[shards[part[0]]])
            if vectors is None:
                vectors = np.empty((len(at), matrix.shape[1]), dtype=np.float32)
            vectors[part] = matrix[rows[part]]
        assert vectors is not None
        return vectors

    def _positions(self, keys: np.ndarray) -> np.ndarray:
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)


def _open(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        return open_shard(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} or {file.stem}{KEYS_SUFFIX} is damaged ({error}); delete both, and their rows "
            "are encoded again"
        ) from error


def shard_files(folder: Path) -> list[Path]:
    """The vectors' file of each whole shard in an encoder's folder."""
    return [
        keys.with_name(keys.name.removesuffix(KEYS_SUFFIX) + ".npy")
        for keys in sorted(folder.glob(f"shard-*{KEYS_SUFFIX}"))
    ]


def open_shard(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys, S32 ``(n,)``, and memory-mapped vectors, float32 ``(n, d_L)``, of a shard.

    Raises:
        FileNotFoundError: if a file is not there (any more).
        ValueError: if one is damaged, or they do not fit together.
    """
    try:
        # Not np.load, which takes an empty or broken file for one of another kind.
        keys = np.array(open_memmap(file.with_name(file.stem + KEYS_SUFFIX), mode="r"))
        vectors = open_memmap(file, mode="r")
    except OSError:
        raise
    except Exception as error:
        # A broken header fails wherever NumPy's parser happens to stumble.
        raise ValueError(str(error)) from error
    if vectors.ndim != 2 or keys.shape != (len(vectors),):
        raise ValueError(f"{file} holds {vectors.shape} vectors for {keys.shape} keys")
    return keys, vectors
