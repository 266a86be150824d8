"""What an evaluation gathers of each batch."""

from __future__ import annotations

import copy
from typing import Any

import torch
from recbole.evaluator import Collector
from torch import Tensor

_OF_ONE_EVALUATION = {"rec.topk", "rec.meanrank", "rec.score", "rec.items", "data.label"}


class TopKCollector(Collector):  # type: ignore[misc]
    """RecBole's collector that looks at the top k alone, where the metrics need no more.

    RecBole fills an integer matrix as large as the scores to find out which of the k items are
    positive, and sorts once more for the lists themselves. What is collected is the same.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._needs_all_scores = any(
            self.register.need(name) for name in ("rec.meanrank", "rec.score", "data.label")
        )

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        """Collect one batch.

        Args:
            scores_tensor: ``(n_users, n_items)``.
            interaction: the batch.
            positive_u: row of each positive item, ``(n_positives,)``.
            positive_i: each positive item, ``(n_positives,)``.
        """
        if self._needs_all_scores:
            # Some of RecBole's models score on the CPU, whatever the device.
            scores_tensor = scores_tensor.to(self.device)
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        items = torch.topk(scores_tensor, max(self.topk), dim=-1).indices
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", items)
        if self.register.need("rec.topk"):
            cells = torch.unique(positive_u * scores_tensor.shape[1] + positive_i).to(items.device)
            self.data_struct.update_tensor("rec.topk", _hits(items, cells, scores_tensor.shape))

    def get_data_struct(self) -> Any:
        """What was collected, on the CPU; the part that belongs to one evaluation is cleared.

        RecBole 1.2.1 moves every value so and fails where one is a number or a count of items.
        """
        for key, value in self.data_struct._data_dict.items():
            if isinstance(value, Tensor):
                self.data_struct._data_dict[key] = value.cpu()
        collected = copy.deepcopy(self.data_struct)
        for key in _OF_ONE_EVALUATION & self.data_struct._data_dict.keys():
            del self.data_struct[key]
        return collected


def _hits(items: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """Whether each item is positive, and last the number of positives: ``(n_users, k + 1)``."""
    n_users, n_items = shape
    rows = torch.arange(n_users, device=items.device).unsqueeze(1)
    hits = torch.isin(rows * n_items + items, cells)
    positives = torch.bincount(cells // n_items, minlength=n_users)
    return torch.cat([hits.long(), positives.unsqueeze(1)], dim=1)
