import numpy as np
import pytest

from recbole_darec.embedding.placebo import placebo

VECTORS = np.random.default_rng(0).normal(size=(4000, 3)) @ np.array(
    [[2.0, 0.5, 0.0], [0.0, 1.0, -0.7], [0.0, 0.0, 0.1]]
) + np.array([5.0, 0.0, -1.0])


def test_none_and_shuffle() -> None:
    generator = np.random.default_rng(1)
    for kind in (None, "none"):
        assert placebo(VECTORS, kind, generator) is VECTORS
    shuffled = placebo(VECTORS, "shuffle", generator)
    assert not np.array_equal(shuffled, VECTORS)
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, VECTORS))


def test_gaussian_has_mean_and_covariance() -> None:
    drawn = placebo(VECTORS, "gaussian", np.random.default_rng(1))
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(axis=0), VECTORS.mean(axis=0), atol=0.15)
    assert np.allclose(np.cov(drawn.T), np.cov(VECTORS.T), atol=0.3)
    correlation = np.corrcoef(drawn[:, 0], VECTORS[:, 0])[0, 1]
    assert abs(correlation) < 0.06


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="must be none, shuffle or gaussian, got 'zero'"):
        placebo(VECTORS, "zero", np.random.default_rng(0))
