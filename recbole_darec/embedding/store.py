"""The on-disk store of encoded texts.

Format, readable with NumPy alone::

    <embedding_dir>/<encoder>/encoder.json              what decides the vectors besides the text
    <embedding_dir>/<encoder>/shard-<digest>.npy        float32 (n, d_L): vectors
    <embedding_dir>/<encoder>/shard-<digest>.keys.npy   S32 (n,): key of each vector's text

``<encoder>`` is the start of the SHA-256 of ``encoder.json``'s specification in canonical json
(sorted keys, no spaces). A text's key is the BLAKE2b digest (16 bytes, in hex) of its UTF-8
bytes. ``<digest>`` is the BLAKE2b digest (16 bytes, in hex) of the shard's keys followed by its
vectors. Shards are only added, each under its own name (or written again with the same content),
first the vectors and then the keys, each to a temporary name that is then renamed: a shard counts
once its keys are there, and any number of processes may write at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec.atomic import replacing
from recbole_darec.embedding.store_index import KEYS_SUFFIX, StoreIndex, open_shard, shard_files
from recbole_darec.keys import ConfigError


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """Key of each text, S32 ``(len(texts),)``."""
    digests = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        for text in texts
    ]
    return np.array(digests, dtype="S32")


def encoder_key(specification: Mapping[str, Any]) -> str:
    """Name of an encoder's folder."""
    canonical = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:24]


class EmbeddingStore:
    """The vectors of one encoder.

    Args:
        root: the key ``embedding_dir``.
        name: the encoder's name, for people to read.
        specification: all that decides the vectors besides the text.
    """

    def __init__(self, root: Path, name: str, specification: Mapping[str, Any]) -> None:
        self.folder = root / encoder_key(specification)
        self._description = json.dumps(
            {"name": name, "specification": dict(specification)}, indent=2, sort_keys=True
        )

    def lookup(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of those texts that are stored.

        Returns:
            ``(len(texts),)`` bool, which are stored; float32 ``(n_stored, d_L)`` their vectors,
            in the order of the texts.

        Raises:
            ConfigError: if a shard is damaged.
        """
        index, keys = self.index(), text_keys(texts)
        return index.contains(keys), index.vectors(keys)

    def index(self) -> StoreIndex:
        """What is stored now.

        Raises:
            ConfigError: if a shard is damaged.
        """
        return StoreIndex(self.folder)

    def append(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Store the vectors ``(len(texts), d_L)`` of some texts in a new shard.

        Raises:
            ValueError: if the numbers of texts and vectors differ or a vector is not finite.
            ConfigError: if the folder cannot be written.
        """
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(
                f"{len(texts)} texts need as many finite vectors, got shape {vectors.shape}"
            )
        if not len(texts):
            return
        keys, vectors = text_keys(texts), np.ascontiguousarray(vectors, dtype=np.float32)
        stem = f"shard-{_digest(keys, vectors)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / "encoder.json", self._description.encode())
            _write(self.folder / f"{stem}.npy", vectors)
            _write(self.folder / f"{stem}{KEYS_SUFFIX}", keys)
        except OSError as error:
            raise ConfigError(
                f"key 'embedding_dir': {self.folder} cannot be written "
                f"({error.strerror or error}); set it to a folder with room where you may write"
            ) from error


@dataclass(frozen=True)
class StoreEntry:
    """One encoder's part of the store.

    Attributes:
        key: name of its folder.
        name: the encoder's name.
        specification: all that decides the vectors besides the text.
        rows: how many vectors are stored.
        bytes: size on disk.
        damaged: how many files cannot be read.
    """

    key: str
    name: str
    specification: dict[str, Any]
    rows: int
    bytes: int
    damaged: int


def list_store(root: Path) -> list[StoreEntry]:
    """What the store holds, one entry an encoder."""
    return [_entry(folder) for folder in _folders(root)]


def _folders(root: Path) -> list[Path]:
    patterns = ("*/encoder.json", f"*/shard-*{KEYS_SUFFIX}")
    return sorted({file.parent for pattern in patterns for file in root.glob(pattern)})


def _entry(folder: Path) -> StoreEntry:
    rows = damaged = 0
    name, specification = "unknown", dict[str, Any]()
    try:
        name, specification = _description(folder)
    except ValueError:
        damaged += 1
    for shard in shard_files(folder):
        try:
            rows += len(open_shard(shard)[0])
        except (OSError, ValueError):
            damaged += 1
    size = sum(map(_size, folder.iterdir()))
    return StoreEntry(folder.name, name, specification, rows, size, damaged)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # Another process renamed its temporary file.
        return 0


def _description(folder: Path) -> tuple[str, dict[str, Any]]:
    """Name and specification of an encoder.

    Raises:
        ValueError: if its ``encoder.json`` is damaged.
    """
    try:
        content = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        return str(content["name"]), dict(content["specification"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"cannot be read: {error}") from error


def verify_store(root: Path) -> list[str]:
    """Read everything; return what is wrong, one line a fault, naming the file."""
    return [fault for folder in _folders(root) for fault in _faults(folder)]


def _faults(folder: Path) -> Iterator[str]:
    try:
        if encoder_key(_description(folder)[1]) != folder.name:
            yield f"{folder / 'encoder.json'}: does not belong in this folder"
    except ValueError as error:
        yield f"{folder / 'encoder.json'}: {error}"
    dims = set()
    for shard in shard_files(folder):
        try:
            keys, vectors = open_shard(shard)
        except (OSError, ValueError) as error:
            yield f"{shard}: cannot be read: {error}"
            continue
        dims.add(vectors.shape[1:])
        if shard.name != f"shard-{_digest(keys, np.asarray(vectors))}.npy":
            yield f"{shard}: content does not match its name"
    if len(dims) > 1:
        yield f"{folder}: vectors of different widths"


def remove_encoder(root: Path, key: str) -> None:
    """Delete one encoder's part of the store.

    Raises:
        ConfigError: if there is none of that key.
    """
    folder = root / key
    if folder not in _folders(root):
        known = ", ".join(entry.key for entry in list_store(root)) or "none"
        raise ConfigError(f"{root} holds no encoder '{key}' (it holds: {known})")
    shutil.rmtree(folder)


def _digest(keys: np.ndarray, vectors: np.ndarray) -> str:
    digest = hashlib.blake2b(keys.tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(vectors).data)
    return digest.hexdigest()


def _write(path: Path, content: bytes | np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            np.save(file, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
