"""HSIC: a plain-loop reference, level under independence, power under dependence."""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from recbole_darec.analysis.independence import hsic_test


def reference(x, y):
    n = len(x)

    def kernel(rows):
        squared = [
            [sum((a - b) ** 2 for a, b in zip(r, s, strict=True)) for s in rows] for r in rows
        ]
        positive = [squared[i][j] for i in range(n) for j in range(i) if squared[i][j] > 0]
        k = np.exp(-np.array(squared) / np.median(positive))
        center = np.eye(n) - np.full((n, n), 1 / n)
        return center @ k @ center

    k, m = kernel(x.tolist()), kernel(y.tolist())
    return np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))


def test_statistic_in_plain_loops():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(25, 3)), generator.normal(size=(25, 2))
    assert hsic_test(x, y, 1).statistic == pytest.approx(reference(x, y), abs=1e-12)
    assert hsic_test(x, x, 1).statistic == pytest.approx(1)


def test_it_rejects_at_the_nominal_rate_under_independence():
    """400 data sets, the p-values are uniform: rejections at 5 % are binomial(400, 0.05)."""
    generator = np.random.default_rng(1)
    p_values = []
    for seed in range(400):
        x = generator.standard_t(3, size=(30, 2))
        y = generator.exponential(size=(30, 3))
        p_values.append(hsic_test(x, y, permutations=99, seed=seed).p_value)
    for level in (0.05, 0.1, 0.5):
        rejected = sum(p <= level for p in p_values)
        assert binomtest(rejected, 400, level).pvalue > 0.01, (level, rejected)
    assert kstest(np.array(p_values) - 0.005, "uniform").pvalue > 0.01


def test_it_finds_dependence_without_correlation():
    generator = np.random.default_rng(2)
    angle = generator.uniform(0, 2 * np.pi, 200)
    x, y = np.cos(angle)[:, None], np.sin(angle)[:, None]
    assert abs(np.corrcoef(x.T, y.T)[0, 1]) < 0.15
    assert hsic_test(x, y, 199).p_value == pytest.approx(1 / 200)


def test_same_seed_same_p_value():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(20, 2)), generator.normal(size=(20, 2))
    assert hsic_test(x, y, 50, seed=4) == hsic_test(x, y, 50, seed=4)


def test_a_constant_block_has_no_kernel_to_compare():
    assert np.isnan(hsic_test(np.eye(5), np.ones((5, 1)), 9)).all()
    assert np.isnan(hsic_test(np.zeros((5, 3)), np.eye(5), 9)).all()


@pytest.mark.parametrize(
    ("second", "permutations", "message"),
    [(np.eye(4), 9, "rows must correspond, got 5 and 4"), (np.eye(5), 0, "permutations must be")],
)
def test_bad_input(second, permutations, message):
    with pytest.raises(ValueError, match=message):
        hsic_test(np.eye(5), second, permutations)
