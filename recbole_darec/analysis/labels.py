"""Labels of items, such as genres, from the fields of the dataset's item file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from recbole_darec.embedding.text import atomic_file, atomic_header, id_field, read_atomic
from recbole_darec.keys import ConfigError

_MOST = 50


@dataclass(frozen=True)
class ItemLabels:
    """Which label each item has.

    Attributes:
        field: the field that holds them.
        names: the labels, ``m`` of them.
        matrix: bool ``(n_items, m)`` by internal id.
    """

    field: str
    names: tuple[str, ...]
    matrix: np.ndarray


def item_labels(config: Mapping[str, Any], item_ids: np.ndarray) -> ItemLabels | None:
    """The ``token_seq`` field of the item file with fewest, but 2 to 50 different labels.

    Args:
        config: the configuration.
        item_ids: external ids by internal id.

    Returns:
        None where there is no such field and, with a warning, where the file cannot be read.
    """
    try:
        fields = [_read(config, field, item_ids) for field in _sequence_fields(config)]
    except ConfigError as error:
        getLogger().warning(f"Items go without labels: {error}")
        return None
    found = [labels for labels in fields if labels and 2 <= len(labels.names) <= _MOST]
    return min(found, key=lambda labels: len(labels.names), default=None)


def _sequence_fields(config: Mapping[str, Any]) -> list[str]:
    if not atomic_file(config, "item").is_file():
        return []
    header = atomic_header(config, "item")
    return [c.removesuffix(":token_seq") for c in header if c.endswith(":token_seq")]


def _read(config: Mapping[str, Any], field: str, item_ids: np.ndarray) -> ItemLabels | None:
    identifier = id_field(config, "item")
    frame = read_atomic(config, "item", [identifier, field]).drop_duplicates(identifier)
    texts = dict(zip(frame[identifier], frame[field], strict=True))
    separator: str = config["seq_separator"]
    counter = CountVectorizer(
        analyzer=lambda text: [part for part in text.split(separator) if part], binary=True
    )
    try:
        counts = counter.fit_transform([texts.get(identity, "") for identity in item_ids])
    except ValueError:  # no label at all
        return None
    if counts.shape[1] > _MOST:
        return None
    names = tuple(map(str, counter.get_feature_names_out()))
    return ItemLabels(field, names, counts.toarray().astype(bool))
