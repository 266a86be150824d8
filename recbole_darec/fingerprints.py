"""What a run has seen, in a few characters: whether data and embeddings are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from logging import getLogger
from typing import Any

from recbole_darec.config import Config
from recbole_darec.keys import ConfigError


def fingerprints(config: Config, loaders: tuple[Any, Any, Any]) -> dict[str, Any]:
    """``dataset_fingerprint`` and, by side, ``embedding_fingerprints`` of a run."""
    return {
        "dataset_fingerprint": data_fingerprint(loaders),
        "embedding_fingerprints": embedding_fingerprints(config, loaders[0]._dataset),
    }


def data_fingerprint(loaders: tuple[Any, Any, Any]) -> str:
    """SHA-256 of the ids and of who interacted with what in each part of the split."""
    digest = hashlib.sha256()
    first = loaders[0]._dataset
    for field in (first.uid_field, first.iid_field):
        digest.update("\n".join(map(str, first.field2id_token[field])).encode())
    for loader in loaders:
        if loader is not None:
            interactions = loader._dataset.inter_feat
            for field in (first.uid_field, first.iid_field):
                digest.update(interactions[field].numpy().tobytes())
    return digest.hexdigest()


def embedding_fingerprints(config: Config, dataset: Any) -> dict[str, str]:
    """SHA-256 of the users' and the items' side embeddings; none where the model needs none."""
    if not config.uses_text:
        return {}
    fields = {"user": dataset.uid_field, "item": dataset.iid_field}
    return {name: dataset.side_embeddings(field).fingerprint for name, field in fields.items()}


def check_fingerprints(
    kept: Mapping[str, Any], found: Mapping[str, Any], config: Config, run: object
) -> None:
    """See that a run goes on with what it was trained on.

    Embeddings that differ are told of, not refused: texts that were encoded anew on another
    machine are not bit-equal.

    Args:
        kept: the run's own ``fingerprints``.
        found: those of what its configuration leads to now.
        config: its configuration.
        run: its folder, for messages.

    Raises:
        ConfigError: if ids or interactions are others.
    """
    if found["dataset_fingerprint"] != kept["dataset_fingerprint"]:
        raise ConfigError(
            f"the files of dataset '{config.dataset}' in {config['data_path']} are not those that "
            f"{run} was trained on (ids or interactions differ, or their order); give the folder "
            "above the original ones as data_path"
        )
    for side, fingerprint in kept["embedding_fingerprints"].items():
        if found["embedding_fingerprints"].get(side) != fingerprint:
            getLogger().warning(
                f"the {side}s' side embeddings are not bit-equal to those of the run: its texts "
                "were encoded anew, or the source changed"
            )
