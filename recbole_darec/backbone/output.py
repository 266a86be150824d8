"""What a collaborative model hands to an alignment and to the scorer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class CollaborativeOutput:
    """Final representations of one forward pass of a backbone.

    Attributes:
        users: ``(n_users, d)``, row 0 is RecBole's padding user.
        items: ``(n_items, d)``, row 0 is RecBole's padding item.
        extras: whatever else the backbone's own loss needs from this forward pass.
    """

    users: Tensor
    items: Tensor
    extras: dict[str, Any] = field(default_factory=dict)
