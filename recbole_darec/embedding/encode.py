"""Texts to vectors, through the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec.atomic import require_writable
from recbole_darec.embedding.base import Encoder
from recbole_darec.embedding.encoders import create_encoder
from recbole_darec.embedding.engines import Chunk, Engine, encoding_engine, in_this_process
from recbole_darec.embedding.progress import Progress
from recbole_darec.embedding.store import EmbeddingStore, text_keys
from recbole_darec.embedding.text_source import TextSource
from recbole_darec.keys import ConfigError

_PART = 100_000


def open_store(config: Mapping[str, Any], encoder: Encoder) -> EmbeddingStore:
    """The encoder's part of the store."""
    return EmbeddingStore(Path(config["embedding_dir"]), encoder.name, encoder.specification)


@dataclass(frozen=True)
class TextKeys:
    """What a source of texts holds, without texts and ids.

    Attributes:
        keys: key of each text in the store, S32 ``(n,)``.
        rows: where the text's id stands among the ids that are asked for, -1 where it does not or
            an earlier text has its id, int64 ``(n,)``.
        new: which of them are to be encoded: asked for, not stored, and the first of their kind.
        n_different: how many different texts are asked for.
        width: d_L of what is stored already, None where nothing is.
        examples: the first ids of the source.
    """

    keys: np.ndarray
    rows: np.ndarray
    new: np.ndarray
    n_different: int
    width: int | None
    examples: list[str]


def survey(
    source: TextSource, store: EmbeddingStore, wanted: Mapping[str, int] | None = None
) -> TextKeys:
    """Read a source once and find out what the store lacks.

    Args:
        source: the texts.
        store: where vectors may be already.
        wanted: row of each id that is asked for; None: all texts, in the source's order.
    """
    examples: list[str] = []
    pieces, places = [np.empty(0, "S32")], [np.empty(0, np.int64)]
    for batch in source:
        examples += [identity for identity, _ in batch[: 3 - len(examples)]]
        pieces.append(text_keys([text for _, text in batch]))
        if wanted is not None:
            places.append(np.array([wanted.get(i, -1) for i, _ in batch], dtype=np.int64))
    keys = np.concatenate(pieces)
    del pieces
    rows = np.arange(len(keys)) if wanted is None else _once(np.concatenate(places))
    first = _first_occurrences(keys, rows >= 0)
    index = store.index()
    new = first & ~index.contains(keys)
    return TextKeys(keys, rows, new, int(first.sum()), index.width, examples)


def _once(rows: np.ndarray) -> np.ndarray:
    """The rows, with -1 where one stands again."""
    kept = np.full_like(rows, -1)
    at = np.unique(rows, return_index=True)[1]
    kept[at] = rows[at]
    return kept


def _first_occurrences(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Which keys are the first of their kind ``among`` those marked, bool ``(n,)``."""
    order = np.argsort(keys, kind="stable")
    order = order[among[order]]
    first = np.zeros(len(keys), dtype=bool)
    previous = None
    for part in np.array_split(order, max(1, len(order) // _PART)):
        values = keys[part]
        differs = np.ones(len(part), dtype=bool)
        differs[1:] = values[1:] != values[:-1]
        if len(part):
            differs[0] = previous != values[0]
            previous = values[-1]
        first[part[differs]] = True
    return first


def encode_source(
    config: Mapping[str, Any],
    source: TextSource,
    wanted: Mapping[str, int] | None = None,
    engine: Engine | None = None,
) -> tuple[TextKeys, EmbeddingStore]:
    """``encode_missing`` with what the configuration names.

    Raises:
        ConfigError: if the encoder cannot be found, a text cannot be encoded or the store cannot
            be written.
    """
    encoder = create_encoder(config)
    store = open_store(config, encoder)
    engine = engine or encoding_engine(config)
    return encode_missing(encoder, store, source, wanted, engine), store


def encode_missing(
    encoder: Encoder,
    store: EmbeddingStore,
    source: TextSource,
    wanted: Mapping[str, int] | None = None,
    engine: Engine = in_this_process,
) -> TextKeys:
    """See to it that the store has the vectors of the wanted texts of a source.

    What the store has stays; the rest is encoded and stored, chunk by chunk, so that a run that is
    killed loses one chunk at most. The source is read twice where something is to be encoded, and
    memory holds its keys and the texts of the chunks under way.

    Args:
        encoder: turns texts into vectors.
        store: its part of the store.
        source: the texts.
        wanted: row of each id that is asked for; None: all.
        engine: where the encoder runs.

    Raises:
        ConfigError: if a text cannot be encoded or the store cannot be written.
    """
    found = survey(source, store, wanted)
    n_new = int(found.new.sum())
    getLogger().info(
        f"Text encoder {encoder.name}: {found.n_different} different texts, "
        f"{found.n_different - n_new} in the store, {n_new} to encode"
    )
    if n_new:
        require_writable(store.folder, "embedding_dir")
        with Progress(n_new, "Encoded texts") as progress:
            width = found.width
            for chunk, vectors in engine(encoder, Chunks(source, found.new, encoder.chunk)):
                width = _checked_width(vectors, width, encoder.name, store)
                store.append(chunk, vectors)
                progress.advance(len(chunk))
    return found


def _checked_width(vectors: np.ndarray, width: int | None, name: str, store: EmbeddingStore) -> int:
    found: int = vectors.shape[1]
    if not np.isfinite(vectors).all():
        raise ConfigError(
            f"text encoder {name} gave vectors with NaN or infinite values, none of which is "
            "stored; if 'text_dtype' is float16, set it to bfloat16 or float32"
        )
    if width not in (None, found):
        raise ConfigError(
            f"the encoder gave vectors of {found} dimensions after vectors of {width}: another "
            f"model answers under the same name. Set 'text_encoder_revision' to tell them apart, "
            f"or delete what is stored by 'embed rm {store.folder.name}'"
        )
    return found


@dataclass(frozen=True)
class Chunks:
    """The chosen texts of a source, some at a time; read anew at each iteration.

    Attributes:
        source: the texts.
        chosen: which of them, bool ``(n_texts,)``.
        size: how many at a time.
    """

    source: TextSource
    chosen: np.ndarray
    size: int

    def __iter__(self) -> Iterator[Chunk]:
        pending: Chunk = []
        position = 0
        for batch in self.source:
            here = self.chosen[position : position + len(batch)]
            position += len(batch)
            pending += [text for (_, text), take in zip(batch, here, strict=False) if take]
            while len(pending) >= self.size:
                yield pending[: self.size]
                pending = pending[self.size :]
        if pending:
            yield pending


def stored_vectors(store: EmbeddingStore, keys: np.ndarray) -> np.ndarray:
    """Vectors of texts that were encoded just now, float32 ``(len(keys), d_L)``.

    Raises:
        ConfigError: if one is missing.
    """
    vectors = store.index().vectors(keys)
    if len(vectors) != len(keys):
        raise ConfigError(
            f"{len(keys) - len(vectors)} texts have no vector in {store.folder}: their source or "
            "the store was changed while it was read; run again"
        )
    return vectors


def embed_texts(config: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
    """Vectors of the texts in their order, float32 ``(len(texts), d_L)``, through the store.

    Raises:
        ConfigError: if the encoder cannot be found or the store cannot be written.
    """
    source = TextSource(lambda _: iter([[("", text) for text in texts]]), "texts")
    found, store = encode_source(config, source)
    return stored_vectors(store, found.keys)
