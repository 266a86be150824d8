"""What a test evaluation says of each user: the values whose means RecBole reports."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec import compat

compat.install()

from recbole.evaluator import Evaluator  # noqa: E402
from recbole.evaluator.base_metric import TopkMetric  # noqa: E402
from recbole.evaluator.register import metrics_dict  # noqa: E402

from recbole_darec.atomic import replacing  # noqa: E402
from recbole_darec.keys import ConfigError  # noqa: E402

FILE_NAME = "per_user.npz"


@dataclass(frozen=True)
class UserValues:
    """Top-k lists of the tested users and each user's own metrics, before any rounding.

    Attributes:
        user_ids: external ids, ``(n_users,)``.
        user_interactions: training interactions of each user, ``(n_users,)``.
        metrics: names, e.g. ``recall@10``.
        values: ``(n_users, n_metrics)``; the mean of a column is what RecBole reports, rounded.
        items: recommended items by rank, internal ids, ``(n_users, max(topk))``.
        hits: whether the recommended item is a test item of the user, ``(n_users, max(topk))``.
        positives: test items of each user, ``(n_users,)``.
        item_interactions: training interactions of all items, ``(n_items,)``, row 0 = padding.
        item_tests: test interactions of all items, ``(n_items,)``, row 0 = padding.
    """

    user_ids: np.ndarray
    user_interactions: np.ndarray
    metrics: np.ndarray
    values: np.ndarray
    items: np.ndarray
    hits: np.ndarray
    positives: np.ndarray
    item_interactions: np.ndarray
    item_tests: np.ndarray

    @classmethod
    def collect(cls, config: Any, collected: Any, train_data: Any, test_data: Any) -> UserValues:
        """From the collector's ``rec.items`` and ``rec.topk`` of one test evaluation.

        Args:
            config: of the run.
            collected: RecBole's ``DataStruct``, rows in the order of the loader's users.
            train_data: loader of the training part.
            test_data: loader of the test part.
        """
        train, test = train_data._dataset, test_data._dataset
        users = np.asarray(test_data.uid_list)
        ranked = collected.get("rec.topk").numpy()
        hits, positives = ranked[:, :-1].astype(bool), ranked[:, -1]
        names = [m.lower() for m in config["metrics"] if per_user_metric(m)]
        values = {name: top_k_values(name, hits, positives) for name in names}
        cells = [(name, k) for name in names for k in config["topk"]]
        seen = train.inter_feat[train.uid_field].numpy()
        return cls(
            user_ids=np.asarray(train.id2token(train.uid_field, users), dtype=str),
            user_interactions=np.bincount(seen, minlength=train.user_num)[users],
            metrics=np.array([f"{name}@{k}" for name, k in cells]),
            values=np.column_stack([values[name][:, k - 1] for name, k in cells]),
            items=collected.get("rec.items").numpy().astype(np.int32),
            hits=hits,
            positives=positives,
            item_interactions=_item_counts(train),
            item_tests=_item_counts(test),
        )

    def save(self, folder: Path) -> None:
        """Write ``per_user.npz`` into a run folder, whole or not at all."""
        with replacing(folder / FILE_NAME) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **asdict(self))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> UserValues:
        """Read those of a run folder.

        Raises:
            ConfigError: if the run kept none.
        """
        file = Path(folder) / FILE_NAME
        if not file.is_file():
            raise ConfigError(
                f"{folder} has no {FILE_NAME}: run it with save_per_user: True and at least one "
                "of the metrics hit, mrr, map, recall, ndcg, precision"
            )
        with np.load(file, allow_pickle=False) as arrays:
            return cls(**arrays)


class KeepingEvaluator(Evaluator):  # type: ignore[misc]
    """RecBole's evaluator that keeps what it evaluated last."""

    collected: Any = None

    def evaluate(self, dataobject: Any) -> Any:
        """RecBole's metrics of what the collector gathered."""
        self.collected = dataobject
        return super().evaluate(dataobject)


def per_user_metric(name: str) -> bool:
    """Whether a metric of RecBole is the mean of one value a user (as recall, unlike AUC)."""
    return issubclass(metrics_dict.get(name.lower().partition("@")[0], object), TopkMetric)


def smaller_is_better(name: str) -> bool:
    """Whether small values of a metric of RecBole are good ones."""
    return bool(metrics_dict[name.lower().partition("@")[0]].smaller)


def top_k_values(name: str, hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """RecBole's metric of each user at each cut-off.

    Args:
        name: a metric for which ``per_user_metric`` holds, without ``@k``.
        hits: whether the item at a rank is a test item of the user, ``(n_users, k)``.
        positives: test items of each user, ``(n_users,)``.

    Returns:
        Values at 1, 2, ..., k: ``(n_users, k)``.
    """
    metric = metrics_dict[name]({"metric_decimal_place": 16, "topk": [hits.shape[1]]})
    needs_positives = "pos_len" in inspect.signature(metric.metric_info).parameters
    found = metric.metric_info(hits, positives) if needs_positives else metric.metric_info(hits)
    return np.asarray(found, dtype=np.float64)


def has_top_k(metrics: Sequence[str]) -> bool:
    """Whether any of the metrics has a value for each user."""
    return any(per_user_metric(name) for name in metrics)


def _item_counts(dataset: Any) -> np.ndarray:
    return np.bincount(dataset.inter_feat[dataset.iid_field].numpy(), minlength=dataset.item_num)
