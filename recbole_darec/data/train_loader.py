"""Training batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import InputType
from torch import Tensor


class TrainLoader(TrainDataLoader):  # type: ignore[misc]
    """RecBole's training loader that draws the order of an epoch as one tensor.

    Batches are those of RecBole's loader to the number. For the models of this package, which
    read ids alone, no other field is looked up.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        super().__init__(config, dataset, sampler, shuffle=shuffle)
        self._ids_only: bool = (
            config.is_ours
            and self.dl_format == InputType.PAIRWISE
            and self.neg_sample_args["distribution"] != "none"
            and not self.neg_sample_args["dynamic"]
            and config["transform"] is None
        )
        interactions = dataset.inter_feat
        self._users: Tensor = interactions[self.uid_field]
        self._items: Tensor = interactions[self.iid_field]

    def _init_batch_size_and_step(self) -> None:
        super()._init_batch_size_and_step()
        # PyTorch would be given a Python list of so many numbers, which nothing reads here.
        self.sample_size = 1

    def __len__(self) -> int:
        batches: int = math.ceil(len(self._users) / self.step)
        return batches

    def __iter__(self) -> Iterator[Any]:
        # PyTorch's loader draws a seed for its workers before an epoch and an order that it does
        # not use after it; doing the same keeps every epoch equal to RecBole's.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        for rows in torch.split(self._order(), self.step):
            yield self.collate_fn(rows.numpy())
        self._order()

    def collate_fn(self, index: NDArray[Any]) -> Any:
        """The batch of some training interactions, by their places ``(n,)``."""
        if not self._ids_only:
            return super().collate_fn(index)
        rows = torch.from_numpy(index)
        users, items = self._users[rows], self._items[rows]
        negatives = self._sampler.sample_by_user_ids(users.numpy(), items.numpy(), self.times)
        return Interaction(
            {
                self.uid_field: users.repeat(self.times),
                self.iid_field: items.repeat(self.times),
                self.neg_item_id: negatives,
            }
        )

    def _order(self) -> Tensor:
        count = len(self._users)
        if not self.shuffle:
            return torch.arange(count)
        return torch.randperm(count, generator=self.generator)
