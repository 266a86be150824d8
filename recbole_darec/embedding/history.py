"""Texts of users from what they did in training."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_darec.embedding.text_source import Batch, TextSource
from recbole_darec.keys import ConfigError
from recbole_darec.recbole_values import interaction_columns

KEY = "user_history_template"
_FIELD = "{history}"
_STREAM = 11
_USERS = 1024


@dataclass(frozen=True)
class TrainingInteractions:
    """Who interacted with what in the training part, and when.

    Attributes:
        users: row in ``user_ids`` of each interaction, ``(m,)``.
        items: row in ``item_ids`` of each interaction, ``(m,)``.
        times: of each interaction, ``(m,)``, or None where they are not loaded.
        user_ids: external id of each user; row 0 is padding.
        item_ids: external id of each item; row 0 is padding.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    user_ids: np.ndarray
    item_ids: np.ndarray

    @classmethod
    def of(cls, training: Any) -> TrainingInteractions:
        """Those of a RecBole dataset after its split."""
        features, time = training.inter_feat, training.time_field
        return cls(
            features[training.uid_field].numpy(),
            features[training.iid_field].numpy(),
            features[time].numpy() if time in features else None,
            training.field2id_token[training.uid_field],
            training.field2id_token[training.iid_field],
        )


def check_history(config: Mapping[str, Any]) -> None:
    """Whether the keys ``user_history_*`` can be obeyed, before any data is loaded.

    Raises:
        ConfigError: if not.
    """
    template = config[KEY]
    if template.count(_FIELD) != 1:
        raise ConfigError(
            f"key '{KEY}' is {template!r}; it must contain {_FIELD} once, for the items"
        )
    columns = interaction_columns(config)
    if config["user_history_order"] == "recent" and columns is not None:
        time = config["TIME_FIELD"]
        if time not in columns:
            raise ConfigError(
                f"key 'user_history_order' is 'recent', but load_col leaves out '{time}': load it, "
                f"as in --load_col=\"{{'inter': {[*columns, time]}}}\", or set it to 'random'"
            )


def history_source(
    config: Mapping[str, Any], interactions: TrainingInteractions, item_texts: Mapping[str, str]
) -> TextSource:
    """Texts of users: the template with each one's training items, most recent or random ones.

    An item counts once a user. Users without an item that has text have none. Times are as exact
    as RecBole keeps them (float32: a minute); among equal ones the order is the items' own.

    Args:
        config: keys ``user_history_*`` and ``seed``.
        interactions: of the training part alone, so that nothing held out leaks.
        item_texts: what stands for an item, by external id.

    Raises:
        ConfigError: if the most recent items are wanted and there are no times.
    """

    def read(_: bool) -> Iterator[Batch]:
        batch: Batch = []
        for user, items in user_histories(config, interactions, item_texts):
            shown = config["user_history_separator"].join(item_texts[item] for item in items)
            batch.append((user, config[KEY].replace(_FIELD, shown)))
            if len(batch) == _USERS:
                yield batch
                batch = []
        yield batch

    return TextSource(read, f"{KEY} {config[KEY]!r} over the training part")


def user_histories(
    config: Mapping[str, Any], interactions: TrainingInteractions, known: Container[str]
) -> Iterator[tuple[str, list[str]]]:
    """Each user's id with the ids of the items that stand for the user.

    Args:
        config: keys ``user_history_items``, ``user_history_order`` and ``seed``.
        interactions: of the training part.
        known: items that may be named; a user without any is left out.

    Raises:
        ConfigError: if the most recent items are wanted and there are no times.
    """
    told = np.array([str(identity) in known for identity in interactions.item_ids], dtype=bool)
    kept = told[interactions.items]
    users, items = interactions.users[kept], interactions.items[kept]
    order = np.lexsort((items, _rank(config, interactions)[kept], users))
    users, items = users[order], items[order]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    for start, end in zip(starts, [*starts, len(users)][1:], strict=True):
        chosen = list(dict.fromkeys(items[start:end].tolist()))[: config["user_history_items"]]
        ids = [str(interactions.item_ids[item]) for item in chosen]
        yield str(interactions.user_ids[users[start]]), ids


def _rank(config: Mapping[str, Any], interactions: TrainingInteractions) -> np.ndarray:
    if config["user_history_order"] == "random":
        generator = np.random.default_rng([int(config["seed"]), _STREAM])
        return generator.random(len(interactions.users))
    if interactions.times is None:
        raise ConfigError(
            f"key 'user_history_order' is 'recent', but the interactions have no "
            f"'{config['TIME_FIELD']}'; load it, or set the key to 'random'"
        )
    return -interactions.times.astype(np.float64)
