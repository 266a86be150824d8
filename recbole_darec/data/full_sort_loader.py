"""Full-sort evaluation in batches of users."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_darec.data.user_items import UserItems

# What an allocator hands out again without asking the system for pages, and what fills a GPU.
MAX_SCORES_ON_CPU, MAX_SCORES_ON_GPU = 2**21, 2**27


class UserBatchLoader(FullSortEvalDataLoader):  # type: ignore[misc]
    """RecBole's full-sort loader with ``eval_batch_size`` counted in users.

    RecBole counts user-item pairs, so that its default of 4096 is one or two users a batch. The
    metrics do not depend on it. A batch has at most ``MAX_SCORES_ON_CPU`` or ``MAX_SCORES_ON_GPU``
    scores. Positive items and those to be masked are sorted arrays, not one tensor a user.

    Attributes:
        uid_list: users that have a positive item, ``(n_users,)``, ascending.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        dataset.sort(by=self.uid_field, ascending=True)
        self._positives = UserItems.of(dataset)
        self._history = self._to_mask(sampler)
        self.uid_list = torch.from_numpy(self._positives.users())
        self.user_df = dataset.join(Interaction({self.uid_field: self.uid_list}))
        self.sample_size = len(self.uid_list)
        # RecBole's own initialisation would put each user's items into Python sets.
        super(FullSortEvalDataLoader, self).__init__(config, dataset, sampler, shuffle=shuffle)

    def _to_mask(self, sampler: Any) -> UserItems:
        """What users know already and cannot be recommended; with ``repeatable``, nothing."""
        if isinstance(sampler.used_ids, UserItems):
            return sampler.used_ids - self._positives
        return UserItems(np.empty(0, dtype=np.int64), self._positives.n_items)

    def _init_batch_size_and_step(self) -> None:
        n_items = self._dataset.item_num
        on_cpu = torch.device(self.config["device"]).type == "cpu"
        most = (MAX_SCORES_ON_CPU if on_cpu else MAX_SCORES_ON_GPU) // n_items
        users = max(min(self.config["eval_batch_size"], most), 1)
        self.step = users
        self.set_batch_size(users * n_items)

    def collate_fn(self, index: list[int]) -> tuple[Any, tuple[Tensor, Tensor], Tensor, Tensor]:
        """Users, cells of the score matrix to mask, and rows and columns of the positives."""
        places = torch.as_tensor(index)
        users = self.uid_list[places].numpy()
        history, positives = (
            tuple(map(torch.from_numpy, pairs.rows(users)))
            for pairs in (self._history, self._positives)
        )
        return self.user_df[places], history, *positives

    @property
    def uid2history_item(self) -> np.ndarray:
        """By user id, the tensor of items to mask: what RecBole's ``full_sort_scores`` reads."""
        rows, items = self._history.rows(np.arange(self._dataset.user_num))
        sizes = np.bincount(rows, minlength=self._dataset.user_num)
        by_user = np.empty(len(sizes), dtype=object)
        by_user[:] = torch.split(torch.from_numpy(items), sizes.tolist())
        return by_user
