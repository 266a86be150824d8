"""Paired tests of one model against another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class PairedTest:
    """One-sided tests of the hypothesis that the first model is the better one.

    Attributes:
        n: pairs.
        difference: mean of first minus second.
        p_wilcoxon: Wilcoxon's signed-rank test.
        p_t: Student's t-test of the differences.
        effect_size: Cohen's d_z, mean over standard deviation of the differences (Cohen,
            *Statistical Power Analysis for the Behavioral Sciences*, 1988, section 2.3.5).
    """

    n: int
    difference: float
    p_wilcoxon: float
    p_t: float
    effect_size: float


def paired_test(
    first: np.ndarray, second: np.ndarray, smaller_is_better: bool = False
) -> PairedTest:
    """Test whether ``first`` is better than ``second``, pair by pair.

    Differences are rounded to 12 decimals, since sums in another order would otherwise part the
    ties that Wilcoxon's test ranks. Equal pairs everywhere give p = 1. A single pair decides
    nothing and gives NaN.

    Args:
        first: values ``(n,)``.
        second: values ``(n,)`` of the same users or seeds in the same order.
        smaller_is_better: look at the left tail, for metrics such as RMSE.

    Raises:
        ValueError: if the shapes differ, there are no pairs, or a value is not finite.
    """
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"pairs must be two vectors of one length, got {first.shape} and "
                         f"{second.shape}")  # fmt: skip
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value to be tested is not finite")
    differences = np.round(first - second, 12)
    mean, n = float(differences.mean()), len(differences)
    if n == 1:
        return PairedTest(n, mean, float("nan"), float("nan"), float("nan"))
    if not differences.any():
        return PairedTest(n, 0.0, 1.0, 1.0, 0.0)
    tail = "less" if smaller_is_better else "greater"
    spread = float(differences.std(ddof=1))
    with np.errstate(divide="ignore"):
        return PairedTest(
            n,
            mean,
            float(stats.wilcoxon(differences, alternative=tail).pvalue),
            float(stats.ttest_1samp(differences, 0.0, alternative=tail).pvalue),
            float(np.divide(mean, spread)),
        )


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's correction of a family of p-values (*Scand. J. Statistics* 6, 1979).

    Args:
        p_values: ``(m,)``; NaN stands for a test that could not be made and is left out.

    Returns:
        Adjusted p-values ``(m,)``, at most 1.
    """
    adjusted = np.full(len(p_values), np.nan)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted
