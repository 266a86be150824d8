"""A tiny world: representations, side embeddings and batches without a backbone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.paths import properties_dir
from recbole_darec.registry import alignment_class


class World:
    """Random inputs of an alignment; sizes count the padding row."""

    def side(self, n: int, dim: int = 6, absent: tuple[int, ...] = ()) -> SideEmbeddings:
        present = np.ones(n, dtype=bool)
        present[[0, *absent]] = False
        table = np.random.default_rng(n).normal(size=(n, dim)).astype(np.float32)
        return SideEmbeddings(table * present[:, None], present)

    def output(self, n_users: int, n_items: int, dim: int = 4) -> CollaborativeOutput:
        generator = torch.Generator().manual_seed(n_users)
        users = torch.randn(n_users, dim, generator=generator)
        items = torch.randn(n_items, dim, generator=generator)
        return CollaborativeOutput(users.requires_grad_(), items.requires_grad_())

    def batch(self, users: list[int], positives: list[int], negatives: list[int]) -> Any:
        ids = (torch.tensor(row, dtype=torch.int64) for row in (users, positives, negatives))
        return SimpleNamespace(**dict(zip(("users", "positives", "negatives"), ids, strict=True)))

    def config(self, name: str, **changes: Any) -> dict[str, Any]:
        defaults = yaml.safe_load((properties_dir() / "alignment" / f"{name}.yaml").read_text())
        return {**defaults, "seed": 7, **changes}

    def build(
        self, name: str, users: SideEmbeddings, items: SideEmbeddings, dim: int = 4, **changes: Any
    ) -> Any:
        return alignment_class(name)(self.config(name, **changes), dim, users, items)

    def randomise_biases(self, module: torch.nn.Module) -> None:
        """So that rows of zeros are not encoded as zeros, as they are by a fresh projection."""
        for part in module.modules():
            if isinstance(part, torch.nn.Linear):
                torch.nn.init.normal_(part.bias)


@pytest.fixture
def world() -> World:
    return World()
