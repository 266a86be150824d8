"""CKA and cross-correlation: invariances, hand-made references, known truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.analysis.similarity import cross_correlation, linear_cka


def blocks(seed, n=60, p=5, q=7):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, p)), generator.normal(size=(n, q))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_cka_is_1_for_rotations_scales_and_shifts(seed, scale, shift):
    x, _ = blocks(seed)
    rotation = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(5, 5)))[0]
    assert linear_cka(x, scale * x @ rotation + shift) == pytest.approx(1, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_cka_is_symmetric_within_bounds_and_below_1_otherwise(seed):
    x, y = blocks(seed)
    value = linear_cka(x, y)
    assert value == pytest.approx(linear_cka(y, x), abs=1e-12)
    assert 0 <= value < 0.9


def test_cka_equals_that_of_gram_matrices():
    """The other form of the definition: HSIC of centred Gram matrices."""
    x, y = blocks(3)
    center = np.eye(60) - 1 / 60
    k, m = center @ x @ x.T @ center, center @ y @ y.T @ center
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-12)


def test_cka_orders_mixtures():
    x, y = blocks(0, 500, 6, 6)
    values = [linear_cka(x, (1 - t) * x + t * y) for t in (0, 0.3, 0.6, 1)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05


def test_cross_correlation_in_a_plain_loop():
    x, y = blocks(1)
    total = 0.0
    for a in x.T:
        for b in y.T:
            total += np.corrcoef(a, b)[0, 1] ** 2
    assert cross_correlation(x, y) == pytest.approx(np.sqrt(total / 35), abs=1e-12)


def test_cross_correlation_of_equal_and_constant_columns():
    x = np.random.default_rng(0).normal(size=(30, 1))
    assert cross_correlation(x, -3 * x + 1) == pytest.approx(1)
    assert cross_correlation(x, np.ones((30, 2))) == 0


def test_cka_of_a_constant_block_is_not_defined():
    rows = np.random.default_rng(0).normal(size=(30, 3))
    for same in (0.0, 1.0, 0.1 + 1e-9 * rows):
        block = np.broadcast_to(same, rows.shape)
        assert np.isnan(linear_cka(block, rows))
        assert np.isnan(linear_cka(rows, block))
    assert linear_cka(rows, 1 + 1e-4 * rows) == pytest.approx(1)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), "rows must correspond, got 3 and 4"),
        (
            np.ones(3),
            np.ones((3, 2)),
            r"first must be a matrix of at least two rows, got shape \(3",
        ),
        (np.ones((3, 2)), np.full((3, 2), np.nan), "second holds NaN"),
    ],
)
def test_bad_input(first, second, message):
    with pytest.raises(ValueError, match=message):
        linear_cka(first, second)
