"""Texts to vectors, through the store."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from recbole_darec.embedding.base import Encoder
from recbole_darec.embedding.huggingface import TextEncoder
from recbole_darec.embedding.store import EmbeddingStore

CHUNK = 1024


def create_encoder(config: Mapping[str, Any]) -> Encoder:
    """The encoder that the configuration asks for.

    Raises:
        ConfigError: if it cannot be found.
    """
    return TextEncoder(config)


def embed_texts(config: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
    """Vectors of the texts in their order, float32 ``(len(texts), d_L)``.

    What the store has is read; the rest is encoded and stored, chunk by chunk, so that a run that
    is killed loses one chunk at most.

    Raises:
        ConfigError: if the encoder cannot be found or the store cannot be written.
    """
    encoder = create_encoder(config)
    store = EmbeddingStore(Path(config["embedding_dir"]), encoder.name, encoder.specification)
    unique = list(dict.fromkeys(texts))
    stored, _ = store.lookup(unique)
    missing = [text for text, there in zip(unique, stored, strict=True) if not there]
    getLogger().info(
        f"Text encoder {encoder.name}: {len(unique)} different texts, "
        f"{len(unique) - len(missing)} in the store, {len(missing)} to encode"
    )
    _encode_into(store, encoder, missing)
    found, vectors = store.lookup(texts)
    assert found.all(), "every text was stored just now"
    return vectors


def _encode_into(store: EmbeddingStore, encoder: Encoder, texts: Sequence[str]) -> None:
    bar = tqdm(total=len(texts), desc="Encoding", disable=not (texts and sys.stderr.isatty()))
    with bar:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            store.append(chunk, encoder.encode(chunk))
            bar.update(len(chunk))
            if bar.disable:
                getLogger().info(f"Encoded {start + len(chunk)} of {len(texts)} texts")
