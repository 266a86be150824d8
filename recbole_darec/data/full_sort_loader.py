"""Full-sort evaluation in batches of users."""

from __future__ import annotations

from recbole.data.dataloader import FullSortEvalDataLoader

MAX_SCORES = 2**27


class UserBatchLoader(FullSortEvalDataLoader):  # type: ignore[misc]
    """RecBole's full-sort loader with ``eval_batch_size`` counted in users.

    RecBole counts user-item pairs, so that its default of 4096 is one or two users a batch. The
    metrics do not depend on it. A batch never has more than ``MAX_SCORES`` scores.
    """

    def _init_batch_size_and_step(self) -> None:
        n_items = self._dataset.item_num
        users = max(min(self.config["eval_batch_size"], MAX_SCORES // n_items), 1)
        self.step = users
        self.set_batch_size(users * n_items)
