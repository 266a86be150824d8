"""The package from a notebook: train, load, recommend, explain, export, analyze."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from recbole_darec.analysis.analysis import Analysis
from recbole_darec.analysis.report import write_report
from recbole_darec.analysis.report_files import ReportFiles
from recbole_darec.analysis.study import analyze
from recbole_darec.load import Run, load
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.recommend.explainer import Explainer
from recbole_darec.recommend.export import export_vectors
from recbole_darec.recommend.new_items import NewItems
from recbole_darec.recommend.recommendations import Recommendations
from recbole_darec.recommend.recommender import Recommender

__all__ = [
    "Analysis",
    "Explainer",
    "NewItems",
    "Recommendations",
    "Recommender",
    "ReportFiles",
    "Run",
    "analyze",
    "export_vectors",
    "load",
    "recommend",
    "train",
    "write_report",
]


def train(model: str = "DaRec", dataset: str = "ml-100k", **keys: Any) -> Run:
    """Train a model, test it, and load what the run left.

    Args:
        model: name of a model, ours or RecBole's.
        dataset: name of a dataset.
        keys: any configuration key.

    Raises:
        ConfigError: if the configuration or the data are wrong; before any training.
    """
    return load(run_recbole_darec(model, dataset, config_dict=keys)["run_folder"])


def recommend(
    run: Run | str | os.PathLike[str],
    users: Sequence[str] | None = None,
    k: int = 10,
    **options: Any,
) -> Recommendations:
    """The ``k`` items of highest score for each user; see ``Recommender``.

    Args:
        run: a loaded run, or the path of its folder.
        users: external ids; default all users.
        k: items a user.
        options: of ``Recommender.recommend``: ``exclude``, ``skip_unknown``.

    Raises:
        ConfigError: if the run cannot be loaded or a user is unknown.
    """
    return Recommender(run).recommend(users, k, **options)
