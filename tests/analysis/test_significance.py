"""Paired tests against SciPy and hand-worked numbers; the right tail; Holm's correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_darec.analysis.significance import holm, paired_test


def test_hand_worked_example():
    """Differences 1, 2, 3, 4: W+ = 10, so p = 1/16; t = 2.5 / (sqrt(5/3) / 2); d_z = t / 2."""
    found = paired_test(np.array([2.0, 4.0, 6.0, 8.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    t = 2.5 / (np.sqrt(5 / 3) / 2)
    assert found.n == 4
    assert found.difference == 2.5
    assert found.p_wilcoxon == pytest.approx(1 / 16)
    assert found.p_t == pytest.approx(stats.t.sf(t, df=3))
    assert found.effect_size == pytest.approx(t / 2)


def test_better_is_small_and_its_mirror_image_large():
    """RecBole's significance test looks at the other tail: it gives the better model p = 1."""
    generator = np.random.default_rng(0)
    worse = generator.random(300)
    better = worse + 0.05 + 0.1 * generator.standard_normal(300)
    ours, mirror = paired_test(better, worse), paired_test(worse, better)
    for name in ("p_wilcoxon", "p_t"):
        assert getattr(ours, name) < 1e-6
        assert getattr(mirror, name) > 1 - 1e-6
        assert getattr(ours, name) + getattr(mirror, name) == pytest.approx(1, abs=1e-3)
    assert ours.effect_size == pytest.approx(-mirror.effect_size)
    assert stats.ttest_rel(better, worse, alternative="less").pvalue > 0.99


def test_small_is_good_for_errors():
    generator = np.random.default_rng(1)
    error = generator.random(100)
    lower = error - 0.1 * generator.random(100)
    assert paired_test(lower, error, smaller_is_better=True).p_t < 1e-6
    assert paired_test(lower, error).p_t > 1 - 1e-6


def test_rounding_parts_no_ties():
    """0.1 + 0.2 differs from 0.3 in the last bit; to Wilcoxon's test that is no difference."""
    first = np.array([0.1 + 0.2, 0.5, 0.7, 0.9])
    second = np.array([0.3, 0.4, 0.5, 0.6])
    exact = stats.wilcoxon([0.0, 0.1, 0.2, 0.3], alternative="greater").pvalue
    assert paired_test(first, second).p_wilcoxon == pytest.approx(exact)


def test_ties_and_single_pairs():
    same = paired_test(np.ones(5), np.ones(5))
    assert (same.p_wilcoxon, same.p_t, same.effect_size) == (1.0, 1.0, 0.0)
    assert np.isnan(paired_test(np.ones(1), np.zeros(1)).p_t)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.ones(3), np.ones(4), r"two vectors of one length, got \(3,\) and \(4,\)"),
        (np.ones(0), np.ones(0), "two vectors of one length"),
        (np.array([1.0, np.nan]), np.ones(2), "is not finite"),
    ],
)
def test_bad_input(first, second, message):
    with pytest.raises(ValueError, match=message):
        paired_test(first, second)


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1, then never falling."""
    adjusted = holm(np.array([0.03, 0.01, 0.04, 0.02]))
    assert adjusted == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])


def test_holm_leaves_out_what_was_not_tested():
    adjusted = holm(np.array([0.01, np.nan, 0.02]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(adjusted[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_raw_and_bonferroni(values):
    raw = np.array(values)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw * len(raw), 1) + 1e-15).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
