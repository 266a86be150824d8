"""What a trained model says of each user and item: collaborative and semantic, split and raw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.inference.vectors import scored_vectors

RAW = ("C raw", "L raw")
SHARED = ("C shared", "L shared")
SPECIFIC = ("C specific", "L specific")


@dataclass(frozen=True)
class Representations:
    """Named blocks of rows of the same users and items.

    ``C`` is the collaborative side, ``L`` the semantic one; ``raw`` is what the alignment is
    given, ``specific`` and ``shared`` are DaRec's parts, ``projected`` is the semantic side as
    RLMRec-Con maps it.

    Attributes:
        users: rows of all users by block, ``(n_users, d)``, padding included.
        items: rows of all items by block, ``(n_items, d)``, padding included.
        user_rows: internal ids of the users that every block speaks of.
        item_rows: internal ids of the items that every block speaks of.
    """

    users: dict[str, np.ndarray]
    items: dict[str, np.ndarray]
    user_rows: np.ndarray
    item_rows: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The blocks that there are, ``C raw`` first."""
        return tuple(self.items)

    @property
    def disentangled(self) -> bool:
        """Whether there are specific and shared parts."""
        return set(SHARED + SPECIFIC) <= set(self.items)

    def joint(self, name: str) -> np.ndarray:
        """Users above items of one block, rows that every block speaks of."""
        return np.concatenate([self.users[name][self.user_rows], self.items[name][self.item_rows]])

    def __repr__(self) -> str:
        return (
            f"<Representations {', '.join(self.names)}: {len(self.user_rows)} users, "
            f"{len(self.item_rows)} items>"
        )


@torch.no_grad()
def representations(model: Any) -> Representations:
    """Every block that a model in evaluation mode has.

    Raises:
        ConfigError: if it is a model of RecBole's without user and item vectors.
    """
    alignment = getattr(model, "alignment", None)
    if hasattr(model, "backbone"):
        output = model.backbone()
        users, items = output.users, output.items
    else:
        users, items = scored_vectors(model)
    blocks = {"C raw": (users, items)}
    if alignment is not None:
        sides = (alignment.users_side, alignment.items_side)
        blocks |= _aligned_blocks(alignment, (users, items), sides)
        present = [side.present.cpu().numpy() for side in sides]
    else:
        present = [np.arange(len(rows)) > 0 for rows in (users, items)]
    return Representations(
        {name: _array(pair[0]) for name, pair in blocks.items()},
        {name: _array(pair[1]) for name, pair in blocks.items()},
        np.flatnonzero(present[0]),
        np.flatnonzero(present[1]),
    )


def with_texts(blocks: Representations, dataset: Any) -> Representations:
    """The same blocks, ``L raw`` being the texts' embeddings as the encoder made them.

    What the alignment is given may be whitened: then all directions weigh alike, those that say
    something of interaction and those that say nothing.

    Args:
        blocks: of a model with an alignment.
        dataset: the training dataset of its run.
    """
    users, items = (
        _array(dataset.side_embeddings(field).table)
        for field in (dataset.uid_field, dataset.iid_field)
    )
    return replace(
        blocks,
        users={**blocks.users, "L raw": users},
        items={**blocks.items, "L raw": items},
    )


def _aligned_blocks(
    alignment: Any, collaborative: tuple[Tensor, Tensor], sides: tuple[SideEmbeddings, ...]
) -> dict[str, tuple[Tensor, Tensor]]:
    semantic = (sides[0].table, sides[1].table)
    blocks = {}
    for name, encoder in alignment.encoders().items():
        users, items = collaborative if name.startswith("C ") else semantic
        blocks[name] = (encoder(users), encoder(items))
    return {**blocks, "L raw": semantic}


def _array(rows: Tensor) -> np.ndarray:
    array: np.ndarray = rows.detach().cpu().double().numpy()
    return array
