"""Which users and items have interactions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_darec.embedding.table import ROWS
from recbole_darec.embedding.text import id_field
from recbole_darec.keys import ConfigError


def interaction_ids(config: Mapping[str, Any], side: str) -> set[str]:
    """External ids of the items or users in RecBole's files of interactions, before any filter.

    Args:
        config: keys ``data_path``, ``dataset``, ``benchmark_filename``, ``field_separator``,
            ``encoding`` and the names of the id fields.
        side: ``item`` or ``user``.

    Raises:
        ConfigError: if a file cannot be read or lacks the column.
    """
    parts = [f"{part}.inter" for part in config["benchmark_filename"] or ()] or ["inter"]
    field = id_field(config, side)
    ids: set[str] = set()
    for part in parts:
        path = Path(config["data_path"]) / f"{config['dataset']}.{part}"
        try:
            with pd.read_csv(
                path,
                sep=config["field_separator"],
                dtype=str,
                keep_default_na=False,
                encoding=config["encoding"],
                usecols=lambda column: column.partition(":")[0] == field,
                chunksize=16 * ROWS,
            ) as pieces:
                for piece in pieces:
                    ids.update(piece.iloc[:, 0].unique())
        except (ValueError, OSError, IndexError) as error:
            raise ConfigError(
                f"{path} cannot be read, or has no column '{field}': {error}"
            ) from error
    return ids
