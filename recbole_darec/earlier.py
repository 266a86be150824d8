"""What earlier versions did where a configuration of theirs lacks a key of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def earlier_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that a resolved configuration lacks, with the values that it was made with.

    Users who are the mean of their items were always the mean of the placebo's rows.
    """
    if "embedding_placebo" not in values or "embedding_placebo_users" in values:
        return {}
    without = values["embedding_placebo"] == "none"
    return {"embedding_placebo_users": "rows" if without else "item_mean"}
