"""Relevant against irrelevant information: what parts keep of their raw side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recbole_darec.analysis.information import TEXT, Information
from recbole_darec.analysis.probes import number_probe
from recbole_darec.analysis.representations import Representations
from recbole_darec.analysis.sampling import sample

_ROWS = 4000


def split_parts(blocks: Representations) -> dict[str, tuple[str, ...]]:
    """The blocks that make up each representation, by its name; collaborative ones first.

    DaRec's disentangled representation of a side is its specific and its shared part together.
    """
    parts: dict[str, tuple[str, ...]] = {name: (name,) for name in blocks.names}
    if blocks.disentangled:
        for side in "CL":
            parts[f"{side} specific + shared"] = (f"{side} specific", f"{side} shared")
    return dict(sorted(parts.items(), key=lambda part: part[0][0]))


def relevance(blocks: Representations, measured: Information, seed: int = 0) -> pd.DataFrame:
    """What each representation keeps of the raw side that it was made from.

    Args:
        blocks: of a trained model.
        measured: information about held-out interactions of all ``split_parts``; that of
            ``L raw`` is called ``text``.
        seed: of the probe's folds and of the sample of rows.

    Returns:
        Columns ``block``; ``nats``; ``nats_kept``, the share of the raw side's nats (lower bounds
        both, so that it may exceed 1; NaN where the raw side has none to two standard errors)
        with its standard error; ``variance_kept``, the share of the raw side's variance that a
        linear probe tells from the block, mean of users and items. A block with a smaller share
        of the nats than of the variance keeps more of what is irrelevant to interaction than of
        what is relevant.
    """
    nats = measured.table.set_index("source")["nats"]
    rows = []
    for name, parts in split_parts(blocks).items():
        raw = f"{name[0]} raw"
        source, of = (TEXT if block == "L raw" else block for block in (name, raw))
        share, error = _share_of_nats(measured, source, of)
        rows.append(
            {
                "block": name,
                "nats": nats[source],
                "nats_kept": share,
                "nats_kept_error": error,
                "variance_kept": 1.0 if name == raw else _variance_told(blocks, parts, raw, seed),
            }
        )
    return pd.DataFrame(rows)


def _share_of_nats(measured: Information, source: str, of: str) -> tuple[float, float]:
    table, draws = measured.table.set_index("source"), measured.draws
    if table.loc[of, "nats"] <= 2 * table.loc[of, "error"]:
        return float("nan"), float("nan")
    share = max(float(table.loc[source, "nats"]), 0.0) / float(table.loc[of, "nats"])
    return share, float((np.maximum(draws[source], 0.0) / draws[of]).std())


def _variance_told(blocks: Representations, parts: tuple[str, ...], raw: str, seed: int) -> float:
    told = []
    for rows, present in ((blocks.users, blocks.user_rows), (blocks.items, blocks.item_rows)):
        chosen = sample(present, _ROWS, seed)
        joined = np.hstack([rows[part][chosen] for part in parts])
        told.append(number_probe(joined, rows[raw][chosen], seed))
    return float(np.mean(told))
