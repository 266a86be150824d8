"""User and item vectors for a vector database."""

from __future__ import annotations

import os
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError
from recbole_darec.recommend.recommender import Recommender

if TYPE_CHECKING:
    from recbole_darec.load import Run

FORMATS = ("npy", "parquet")
SCORED = "scored"


def export_vectors(
    run: Run | str | os.PathLike[str],
    folder: str | Path,
    kind: str = "npy",
    part: str = SCORED,
    **moved: Any,
) -> list[Path]:
    """Write the vectors of all users and items, float32, without padding.

    Users and items without text are left out of the blocks of the semantic side, with a warning.

    The inner product of a user's and an item's ``scored`` vectors is the model's score. ``npy``
    writes ``items.npy`` and the ids in the same order, one a line, in ``items.ids.txt``, which
    ``item_embedding_file`` reads again; ``parquet`` writes columns ``id`` and ``vector``.

    Args:
        run: a loaded run, or the path of its folder.
        folder: where to write; made if need be.
        kind: ``npy`` or ``parquet``.
        part: ``scored``, or a block of the alignment such as ``C shared``.
        moved: as for ``load``, where ``run`` is a path.

    Returns:
        The files.

    Raises:
        ConfigError: if the kind or the part does not exist, or the folder cannot be written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"format '{kind}' does not exist; expected one of {', '.join(FORMATS)}")
    recommender = Recommender(run, **moved)
    sides = _sides(recommender, part)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            file
            for side, (ids, rows) in sides.items()
            for file in _write(folder, side, ids, rows.astype(np.float32), kind)
        ]
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error


def _sides(recommender: Recommender, part: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    ids = {"users": recommender.user_ids, "items": recommender.item_ids}
    if part == SCORED:
        pairs = zip(ids.items(), recommender.vectors, strict=True)
        return {side: (names[1:], rows[1:]) for (side, names), rows in pairs}
    from recbole_darec.analysis.representations import representations

    blocks = representations(recommender.run.model)
    if part not in blocks.names:
        known = ", ".join((SCORED, *blocks.names))
        raise ConfigError(f"part '{part}' does not exist; there are {known}")
    found = {}
    for side, rows, present in (
        ("users", blocks.users[part], blocks.user_rows),
        ("items", blocks.items[part], blocks.item_rows),
    ):
        chosen = present if part.startswith("L ") else np.arange(1, len(rows))
        if lacking := len(rows) - 1 - len(chosen):
            getLogger().warning(
                f"{lacking} of {len(rows) - 1} {side} have no text: they are left out of '{part}'"
            )
        found[side] = (ids[side][chosen], rows[chosen])
    return found


def _write(folder: Path, side: str, ids: np.ndarray, rows: np.ndarray, kind: str) -> list[Path]:
    file = folder / f"{side}.{kind}"
    if kind == "parquet":
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        table = pa.table({"id": pa.array(ids.tolist()), "vector": vectors})
        with replacing(file) as temporary:
            pq.write_table(table, temporary)
        return [file]
    names = folder / f"{side}.ids.txt"
    with replacing(file) as temporary, replacing(names) as temporary_names:
        with temporary.open("wb") as opened:
            np.save(opened, rows)
        temporary_names.write_text("".join(f"{identity}\n" for identity in ids), encoding="utf-8")
    return [file, names]
