"""Which of the configured sources gives the vectors of items or users, and the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec.embedding.dataset_ids import interaction_ids
from recbole_darec.embedding.encode import encode_source, stored_vectors
from recbole_darec.embedding.engines import check_engine
from recbole_darec.embedding.history import TrainingInteractions, check_history, history_source
from recbole_darec.embedding.precomputed import check_embedding_file, load_embeddings
from recbole_darec.embedding.table import first_rows
from recbole_darec.embedding.text import (
    check_atomic,
    file_source,
    id_field,
    template_fields,
    template_source,
    text_columns,
)
from recbole_darec.embedding.text_source import TextSource
from recbole_darec.embedding.text_table import TextTable
from recbole_darec.keys import ConfigError

_EXAMPLES = 3


@dataclass(frozen=True)
class SideRows:
    """Vectors for some external ids.

    Attributes:
        present: bool ``(n,)``, which of the ids have a vector.
        vectors: float32 ``(present.sum(), d_L)``, in the order of the ids.
    """

    present: np.ndarray
    vectors: np.ndarray


def side_source(config: Mapping[str, Any], side: str) -> str | None:
    """The key that gives the vectors of ``side`` (``item`` or ``user``), or None.

    Raises:
        ConfigError: if two keys are set that exclude each other.
    """
    keys = [f"{side}_embedding_file", f"{side}_text_file"]
    keys += ["user_history_template", "user_template"] if side == "user" else []
    named = [key for key in keys if config[key] is not None]
    if len(named) > 1:
        raise ConfigError(f"keys '{named[0]}' and '{named[1]}' are both set; keep one of them")
    if named:
        return named[0]
    return f"{side}_template" if config[f"{side}_template"] is not None else None


def side_rows(
    config: Mapping[str, Any],
    side: str,
    ids: Sequence[str],
    interactions: TrainingInteractions | None = None,
) -> SideRows | None:
    """Vectors of the items or users with these external ids; None without any source.

    Args:
        config: the configuration.
        side: ``item`` or ``user``.
        ids: external ids of the rows.
        interactions: of the training part, for texts of users from their history.

    Raises:
        ConfigError: if the source is missing, malformed or knows none of the ids.
    """
    key = side_source(config, side)
    if key is None:
        return None
    if key.endswith("embedding_file"):
        known, matrix = load_embeddings(Path(config[key]).expanduser(), key)
        row_of = {identity: row for row, identity in enumerate(known)}
        present = np.array([identity in row_of for identity in ids], dtype=bool)
        _check_common(config, key, present, ids, len(known), known[:3])
        return _without_zeros(present, matrix[[row_of[i] for i in ids if i in row_of]], ids, key)
    row_of = {identity: row for row, identity in enumerate(ids)}
    found, store = encode_source(config, text_source(config, side, key, interactions), row_of)
    used = found.rows >= 0
    present = np.zeros(len(ids), dtype=bool)
    present[found.rows[used]] = True
    _check_common(config, key, present, ids, len(found.keys), found.examples)
    keys = found.keys[used][np.argsort(found.rows[used])]
    return SideRows(present, stored_vectors(store, keys))


def _without_zeros(
    present: np.ndarray, vectors: np.ndarray, ids: Sequence[str], key: str
) -> SideRows:
    """A vector of zeros has no direction: files use it where there is no embedding."""
    real: np.ndarray = np.any(vectors, axis=1)
    if real.all():
        return SideRows(present, vectors)
    examples = [ids[row] for row in np.flatnonzero(present)[~real][:5]]
    what = f"key '{key}': {int((~real).sum())} of {len(real)} vectors are all zeros"
    if not real.any():
        raise ConfigError(f"{what}; there is nothing to align with")
    getLogger().warning(f"{what} and count as missing, e.g. ids {', '.join(examples)}")
    present = present.copy()
    present[present] = real
    return SideRows(present, vectors[real])


def text_source(
    config: Mapping[str, Any],
    side: str,
    key: str,
    interactions: TrainingInteractions | None = None,
) -> TextSource:
    """The texts that a key names.

    Raises:
        ConfigError: if they cannot be read.
    """
    if key == "user_history_template":
        assert interactions is not None, "the history of users needs the training part"
        return history_source(config, interactions, TextTable(history_item_source(config)))
    return template_source(config, side) if key.endswith("template") else file_source(config, side)


def history_item_source(config: Mapping[str, Any]) -> TextSource:
    """What stands for each item in the history of a user.

    Raises:
        ConfigError: if there is nothing, or it cannot be read.
    """
    if config["user_history_item"] is not None:
        return template_source(config, "item", "user_history_item")
    key = side_source(config, "item")
    if key is None or key.endswith("embedding_file"):
        raise ConfigError(
            "key 'user_history_template' needs texts of the items: set 'user_history_item', a "
            "template over the fields of the items, such as '{title}'"
        )
    return text_source(config, "item", key)


def _check_common(
    config: Mapping[str, Any],
    key: str,
    present: np.ndarray,
    ids: Sequence[str],
    n_known: int,
    examples: Sequence[str],
) -> None:
    unknown = n_known - int(present.sum())
    if not present.any():
        raise _nothing_in_common(config, key, examples, ids[:3])
    if unknown:
        getLogger().info(f"{key}: {unknown} ids are not in the (filtered) dataset and not used")


def _nothing_in_common(
    config: Mapping[str, Any], key: str, examples: Sequence[str], ids: Sequence[str]
) -> ConfigError:
    return ConfigError(
        f"key '{key}' ({config[key]}): no id in common with dataset '{config['dataset']}'; "
        f"its ids look like {', '.join(examples) or 'nothing'}, the dataset's like "
        f"{', '.join(ids) or 'nothing: it has no interactions'}"
    )


def check_ids(config: Mapping[str, Any], side: str, key: str, source: TextSource) -> str:
    """Compare the ids of a source of texts with those of the interactions, before any filter.

    Returns:
        How many fit, in words.

    Raises:
        ConfigError: if none does.
    """
    known = interaction_ids(config, side)
    lacking, examples = set(known), []
    texts = used = 0
    for identity, _ in (pair for batch in source for pair in batch):
        texts += 1
        used += identity in known
        lacking.discard(identity)
        if texts <= _EXAMPLES:
            examples.append(identity)
    if not used:
        raise _nothing_in_common(config, key, examples, sorted(known)[:_EXAMPLES])
    return (
        f"{used} of {texts} texts are of {side}s with interactions; {len(lacking)} of these "
        f"{len(known)} {side}s have no text"
    )


def check_source(config: Mapping[str, Any], side: str, key: str) -> None:
    """Whether a source exists and has what it needs, and its texts can be encoded as configured.

    Reads headers only.

    Raises:
        ConfigError: if not.
    """
    if not key.endswith("embedding_file"):
        check_engine(config)
    if key == "user_history_template":
        check_history(config)
        if Path(config["data_path"]).is_dir():
            history_item_source(config)
        return
    path = Path(config[key]).expanduser()
    if key.endswith("embedding_file"):
        check_embedding_file(path, key)
    elif key.endswith("text_file"):
        text_columns(config, side, first_rows(path, key), path)
    else:
        fields = template_fields(config[key])
        # RecBole downloads a dataset that is not there yet; then only the template is known.
        if Path(config["data_path"]).is_dir():
            check_atomic(config, side, [id_field(config, side), *fields])
