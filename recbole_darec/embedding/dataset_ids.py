"""Which users and items have interactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from recbole_darec.embedding.table import ROWS
from recbole_darec.embedding.text import id_field
from recbole_darec.interaction_files import check_headers, interaction_files
from recbole_darec.keys import ConfigError


def interaction_ids(config: Mapping[str, Any], side: str) -> set[str]:
    """External ids of the items or users in RecBole's files of interactions, before any filter.

    Args:
        config: as for ``interaction_pieces``.
        side: ``item`` or ``user``.

    Raises:
        ConfigError: if a file cannot be read or lacks the column.
    """
    ids: set[str] = set()
    for piece in interaction_pieces(config, [side]):
        ids.update(piece[side].unique())
    return ids


def interaction_pieces(config: Mapping[str, Any], sides: Sequence[str]) -> Iterator[pd.DataFrame]:
    """External ids of RecBole's files of interactions, before any filter, some rows at a time.

    Args:
        config: keys ``data_path``, ``dataset``, ``benchmark_filename``, ``field_separator``,
            ``encoding`` and the names of the id fields.
        sides: ``item`` and ``user``, or one of them: the columns of a piece.

    Raises:
        ConfigError: if a file cannot be read or lacks a column.
    """
    check_headers(config)
    fields = {id_field(config, side): side for side in sides}
    for path in interaction_files(config):
        try:
            with pd.read_csv(
                path,
                sep=config["field_separator"],
                dtype=str,
                keep_default_na=False,
                encoding=config["encoding"],
                usecols=lambda column: column.partition(":")[0] in fields,
                chunksize=16 * ROWS,
            ) as pieces:
                for piece in pieces:
                    names = piece.columns.map(lambda column: fields[column.partition(":")[0]])
                    yield piece.set_axis(names, axis="columns")[list(sides)]
        except (ValueError, OSError, LookupError) as error:
            columns = " or ".join(f"'{field}'" for field in fields)
            raise ConfigError(
                f"{path} cannot be read, or has no column {columns}: {error}"
            ) from error
