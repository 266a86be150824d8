"""Items that were not in training, represented by their text alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from recbole_darec.embedding.encode import embed_texts
from recbole_darec.embedding.precomputed import load_embeddings
from recbole_darec.embedding.source import side_source
from recbole_darec.embedding.text import file_source
from recbole_darec.inference.vectors import scored_vectors
from recbole_darec.keys import ConfigError
from recbole_darec.load import Run
from recbole_darec.model.representation_recommender import RepresentationRecommender

SPACES = ("raw", "shared")
_TITLE = 60
_ROUNDING = 1e-6
_NEVER = RepresentationRecommender.represent


@dataclass(frozen=True)
class NewItems:
    """Items beside those of the run.

    Attributes:
        ids: external ids, ``(m,)``.
        titles: what stands for a title, ``(m,)``.
        vectors: raw semantic vectors of the run's encoder, ``(m, d_L)``.
    """

    ids: np.ndarray
    titles: np.ndarray
    vectors: np.ndarray

    @classmethod
    def from_texts(cls, run: Run, texts: Mapping[str, str]) -> NewItems:
        """Encode texts, by external id, with the encoder of the run.

        Raises:
            ConfigError: if there are none or one is empty, the run's items have precomputed
                vectors, or its model has no text.
        """
        _require_place(run)
        # Ids are texts in the dataset: 50 would pass for another item than '50'.
        texts = {str(identity): text for identity, text in texts.items()}
        if str(side_source(run.config, "item")).endswith("embedding_file"):
            raise ConfigError(
                "the run's items have precomputed vectors: give vectors of the new items from the "
                "same encoder"
            )
        empty = [identity for identity, text in texts.items() if not text.strip()]
        if empty:
            raise ConfigError(f"new items {', '.join(empty[:10])} have an empty text")
        titles = [
            text if len(text) <= _TITLE else text[: _TITLE - 3] + "..." for text in texts.values()
        ]
        vectors = embed_texts(run.config, list(texts.values())) if texts else np.zeros((0, 1))
        return cls._checked(run, list(texts), titles, vectors)

    @classmethod
    def from_file(
        cls,
        run: Run,
        path: str | os.PathLike[str],
        id_column: str | None = None,
        text_column: str | None = None,
    ) -> NewItems:
        """Read texts (as ``item_text_file``) or, if the run has such, vectors by external id.

        Args:
            run: a run with an alignment, or of a model of text alone.
            path: the file.
            id_column: of the ids; default as for ``item_text_file`` of the run.
            text_column: of the texts; likewise.

        Raises:
            ConfigError: if the file cannot be read, or as ``from_texts``.
        """
        _require_place(run)
        path = Path(path)
        if str(side_source(run.config, "item")).endswith("embedding_file"):
            ids, vectors = load_embeddings(path, "new_items")
            return cls._checked(run, ids, [""] * len(ids), vectors)
        columns = {"item_text_id_column": id_column, "item_text_column": text_column}
        given = {key: value for key, value in columns.items() if value is not None}
        settings = {**run.config.final_config_dict, "item_text_file": str(path), **given}
        return cls.from_texts(run, file_source(settings, "item").as_dict())

    @classmethod
    def _checked(cls, run: Run, ids: list[str], titles: list[str], vectors: np.ndarray) -> NewItems:
        known = sorted(set(ids) & set(run.item_ids))
        if known:
            raise ConfigError(f"new items {', '.join(known[:10])} are in the run's data already")
        if not ids:
            raise ConfigError("there are no new items")
        silent = [i for i, real in zip(ids, np.any(vectors, axis=1), strict=True) if not real]
        if silent:
            raise ConfigError(f"new items {', '.join(silent[:10])} have vectors of zeros")
        width = run.dataset.side_embeddings(run.dataset.iid_field).dim
        if vectors.shape[1] != width:
            raise ConfigError(f"new items have {vectors.shape[1]} dimensions, the run's {width}")
        return cls(np.array(ids), np.array(titles, dtype=object), vectors)


@torch.no_grad()
def new_item_vectors(
    run: Run, new: NewItems, neighbors: int = 20, space: str = "raw"
) -> np.ndarray:
    """Vectors ``(m, d)`` of new items in the space in which the run's items are scored.

    Each is the mean of the scored vectors of those items of the run that are nearest to it on the
    semantic side, weighted by the cosine. The mean of several vectors is shorter than they are, so
    that a new item rarely outranks all known ones. Columns that a text has by itself
    (``Alignment.beside``) are its own, not a mean. A model of text alone (AlphaRec) has a vector
    for any text, so that neighbours and space do not count.

    Args:
        run: a run with an alignment, or of a model of text alone.
        new: the new items.
        neighbors: items of the run to average.
        space: where they are near: ``raw``, the texts' own embeddings less the mean of the run's
            items, or ``shared``, DaRec's semantic shared space (RLMRec-Con's projection), which is
            that of the items where ``anchor`` is not ``raw``. docs/results/cold_start.md compares
            them.

    Raises:
        ValueError: if the space is none of these.
        ConfigError: if the run's alignment has no shared space and ``shared`` is asked for, or
            if the model has no alignment and represents no text.
    """
    if space not in SPACES:
        raise ValueError(f"space is {space!r}; expected one of {', '.join(SPACES)}")
    model: Any = run.model
    whole = model.represent(new.vectors)
    if whole is not None:
        represented: np.ndarray = whole.cpu().numpy()
        return represented
    if getattr(model, "alignment", None) is None:
        raise _no_place(run)
    return _among_neighbors(run, new, neighbors, space)


def _among_neighbors(run: Run, new: NewItems, neighbors: int, space: str) -> np.ndarray:
    """Means of the nearest known items' scored vectors, and the texts' own columns beside."""
    model: Any = run.model
    items = scored_vectors(model)[1].cpu().numpy()
    known, query = _semantic_rows(run, new.vectors, space)
    present = model.alignment.items_side.present.cpu().numpy()
    rows = np.flatnonzero(present & known.any(axis=1))
    if not len(rows):
        raise ConfigError("new items are placed by the run's items, but all have the same text")
    index = NearestNeighbors(n_neighbors=min(neighbors, len(rows)))
    # On the unit sphere the nearest by distance is the nearest by cosine: d^2 = 2 - 2 cos.
    distances, found = index.fit(known[rows]).kneighbors(query)
    weights = np.maximum(1 - np.square(distances) / 2, 1e-6)
    weights /= weights.sum(axis=1, keepdims=True)
    mean: np.ndarray = (weights[:, :, None] * items[rows[found]]).sum(axis=1)
    own = model.alignment.beside(model.backbone(), new.vectors)
    if own is not None:
        mean[:, -own.shape[1] :] = own.cpu().numpy()
    return mean.astype(items.dtype)


def _semantic_rows(run: Run, vectors: np.ndarray, space: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows of known and new items whose inner products are the cosines of ``space``."""
    alignment: Any = run.model.alignment
    if space == "raw":
        raw, mean = run.dataset.side_embeddings(run.dataset.iid_field).numpy()
        centred = raw - mean
        # missing_text: mean has put this very mean, but for rounding, where there was no text.
        lengths, largest = np.linalg.norm(centred, axis=1), np.linalg.norm(raw, axis=1).max()
        centred[lengths <= _ROUNDING * largest] = 0
        return normalize(centred), normalize(vectors - mean)
    encoders = alignment.encoders()
    encoder = encoders.get("L shared", encoders.get("L projected"))
    if encoder is None:
        raise ConfigError(
            f"model {run.metrics['model']} has no semantic shared space; use space='raw'"
        )
    table = alignment.items_side.table
    query = torch.as_tensor(
        alignment.semantic_input(vectors), dtype=table.dtype, device=table.device
    )
    known, asked = (normalize(encoder(rows).cpu().numpy()) for rows in (table, query))
    return known, asked


def _require_place(run: Run) -> None:
    represents = getattr(type(run.model), "represent", _NEVER) is not _NEVER
    if getattr(run.model, "alignment", None) is None and not represents:
        raise _no_place(run)


def _no_place(run: Run) -> ConfigError:
    return ConfigError(
        f"model {run.metrics['model']} has no place for new items: use a run of DaRec, of another "
        "alignment or of AlphaRec"
    )
