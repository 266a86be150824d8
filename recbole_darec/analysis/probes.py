"""Linear probes: what a ridge regression can tell from a block of rows, by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recbole_darec.analysis.checks import constant, matrix

_FOLDS = 5
Part = tuple[np.ndarray, np.ndarray]
_PENALTIES = (1.0, 100.0, 10000.0)


def number_probe(rows: np.ndarray, target: np.ndarray, seed: int = 0) -> float:
    """Share of the variance of numbers that a linear probe tells from unseen rows (R^2, at most 1).

    0: no better than the mean. E.g. the logarithm of the items' popularity. Of several columns,
    the share of their total variance. NaN where the target is constant.

    Args:
        rows: ``(n, d)``.
        target: ``(n,)`` or ``(n, m)``.
        seed: of the folds.

    Raises:
        ValueError: if the numbers of rows differ or are below 10.
    """
    rows = _checked(rows, target)
    if constant(target):
        return float("nan")
    folds = KFold(_FOLDS, shuffle=True, random_state=seed)
    predicted = cross_val_predict(_probe(), rows, target, cv=folds)
    return float(r2_score(target, predicted, multioutput="variance_weighted"))


def label_probe(rows: np.ndarray, labels: np.ndarray, least: int = 20, seed: int = 0) -> float:
    """Mean over labels of the area under the ROC curve of a linear probe on unseen rows.

    0.5: chance, 1: the labels can be read off. The area is the mean of the folds': predictions of
    several folds do not compare, as each fold's mean errs against its unseen labels.

    Args:
        rows: ``(n, d)``.
        labels: bool ``(n, m)``, or ``(n,)`` for one label; e.g. genres.
        least: labels with fewer rows with it, or without it, are left out.
        seed: of the folds.

    Raises:
        ValueError: if the numbers of rows differ or are below 10, or no label has enough rows.
    """
    labels = np.asarray(labels, dtype=float).reshape(len(labels), -1)
    rows = _checked(rows, labels)
    counts = labels.sum(axis=0)
    labels = labels[:, (counts >= least) & (len(rows) - counts >= least)]
    if not labels.shape[1]:
        raise ValueError(f"no label has {least} rows with it and {least} without it")
    if labels.shape[1] == 1:
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(rows, labels[:, 0])
    else:
        folds = KFold(_FOLDS, shuffle=True, random_state=seed).split(rows)
    parts = list(folds)
    predicted = cross_val_predict(_probe(), rows, labels, cv=parts).reshape(labels.shape)
    return float(np.mean([_area(*pair, parts) for pair in zip(labels.T, predicted.T, strict=True)]))


def _area(label: np.ndarray, predicted: np.ndarray, parts: Sequence[Part]) -> float:
    unseen = [test for _, test in parts if 0 < label[test].sum() < len(test)]
    return float(np.mean([roc_auc_score(label[test], predicted[test]) for test in unseen]))


def modality_probe(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """How well a linear probe tells which of two blocks of one width a row is from (AUC).

    0.5: the blocks are laid over each other; 1: each has a place of its own.

    Raises:
        ValueError: if widths differ or there are too few rows.
    """
    first, second = matrix(first, "first"), matrix(second, "second")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"widths differ: {first.shape[1]} and {second.shape[1]}")
    labels = np.repeat([0, 1], [len(first), len(second)])
    return label_probe(np.vstack([first, second]), labels, least=_FOLDS, seed=seed)


def _probe() -> object:
    return make_pipeline(StandardScaler(), RidgeCV(_PENALTIES))


def _checked(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    rows = matrix(rows)
    if len(rows) != len(target) or len(rows) < 2 * _FOLDS:
        raise ValueError(
            f"a probe needs at least {2 * _FOLDS} rows and a target for each, got {len(rows)} "
            f"and {len(target)}"
        )
    return rows
