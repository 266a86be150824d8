"""RecBole's negative sampling on sorted arrays in the place of Python sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import recbole.data.utils as recbole_data
import torch
from numpy.typing import NDArray
from recbole.sampler import Sampler
from torch import Tensor

from recbole_darec.data.user_items import UserItems
from recbole_darec.keys import ConfigError

PHASES = ("train", "valid", "test")


class PairSampler(Sampler):  # type: ignore[misc]
    """RecBole's sampler on sorted arrays in the place of Python sets.

    It draws the same random numbers in the same order as RecBole's, so that the negatives are
    those of RecBole, not only their distribution.

    Raises:
        ConfigError: if a user has interacted with all items that can be drawn.
    """

    used_ids: Any
    alias_table: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

    def _build_alias_table(self) -> None:
        """RecBole's table, as arrays: items, their probabilities and who is drawn otherwise."""
        super()._build_alias_table()
        columns = (self.prob.keys(), self.prob.values(), [self.alias[item] for item in self.prob])
        items, probabilities, aliases = (np.array(list(column)) for column in columns)
        self.alias_table = items, probabilities, aliases

    def _pop_sampling(self, sample_num: int) -> NDArray[Any]:
        items, probabilities, aliases = self.alias_table
        drawn = np.random.randint(0, len(items), sample_num)
        kept = probabilities[drawn] > np.random.random(sample_num)
        return np.where(kept, items[drawn], aliases[drawn])

    def get_used_ids(self) -> dict[str, UserItems]:
        """By phase, the pairs of this phase and those before it."""
        used: dict[str, UserItems] = {}
        pairs: UserItems | None = None
        for phase, dataset in zip(self.phases, self.datasets, strict=True):
            own = UserItems.of(dataset)
            pairs = used[phase] = own if pairs is None else pairs | own
        assert pairs is not None
        self._refuse_full(pairs)
        return used

    def set_distribution(self, distribution: str) -> None:
        """See RecBole; by popularity only items that occur are drawn."""
        super().set_distribution(distribution)
        if hasattr(self, "used_ids"):
            self._refuse_full(self.used_ids[self.phases[-1]])

    def _refuse_full(self, pairs: UserItems) -> None:
        by_popularity = self.distribution == "popularity"
        drawn = len(self.alias_table[0]) if by_popularity else self.item_num - 1
        full = int((pairs.counts() == drawn).sum())
        if full:
            raise ConfigError(
                f"{full} users have interacted with all {drawn} items, so that there "
                "is no negative item for them: filter them out with user_inter_num_interval"
            )

    def sample_by_key_ids(self, key_ids: NDArray[Any], num: int) -> Tensor:
        """Items that the users have not interacted with.

        Args:
            key_ids: users ``(n,)``.
            num: number of items for each.

        Returns:
            ``(num * n,)``: the first item of each user, then the second of each, and so on.
        """
        users = np.tile(np.asarray(key_ids), num)
        items = self.sampling(len(users))
        again = np.flatnonzero(self.used_ids.contains(users, items))
        while len(again):
            items[again] = self.sampling(len(again))
            again = again[self.used_ids.contains(users[again], items[again])]
        return torch.from_numpy(items.astype(np.int64, copy=False))


def create_samplers(config: Any, dataset: Any, splits: Sequence[Any]) -> list[Any]:
    """RecBole's ``create_samplers`` with a ``PairSampler``: one a phase, None without sampling."""
    if config["repeatable"]:
        return list(recbole_data.create_samplers(config, dataset, splits))
    first: PairSampler | None = None
    samplers: list[Any] = []
    for phase in PHASES:
        arguments = config[f"{phase}_neg_sample_args"]
        distribution = arguments["distribution"]
        if distribution == "none":
            samplers.append(None)
            continue
        if first is None:
            alpha = arguments["alpha"] if phase == "train" else 1.0
            first = PairSampler(list(PHASES), list(splits), distribution, alpha)
        else:
            first.set_distribution(distribution)
        samplers.append(first.set_phase(phase))
    return samplers
