"""kNN mutual information against closed forms."""

import numpy as np
import pytest

from recbole_darec.analysis.mutual_information import knn_mutual_information


def gaussian(rho, n=1500, d=2, seed=0):
    """Two blocks with correlation rho in each of d dimensions: MI = -d/2 log(1 - rho^2)."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d))
    return x, rho * x + np.sqrt(1 - rho**2) * generator.normal(size=(n, d))


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_gaussian_blocks(rho):
    x, y = gaussian(rho)
    truth = -np.log(1 - rho**2)
    assert knn_mutual_information(x, y, 2) == pytest.approx(truth, abs=0.03 + 0.08 * truth)


def test_a_family_of_couplings_is_ordered():
    """Shared factors mixed into both sides with rising weight, behind random linear maps."""
    generator = np.random.default_rng(1)
    shared, own_x, own_y = (generator.normal(size=(1200, 3)) for _ in range(3))
    maps = [generator.normal(size=(3, 12)) for _ in range(2)]
    values = []
    for weight in (0, 0.5, 0.7, 0.85, 0.97):
        x = (weight * shared + np.sqrt(1 - weight**2) * own_x) @ maps[0]
        y = (weight * shared + np.sqrt(1 - weight**2) * own_y) @ maps[1]
        values.append(knn_mutual_information(x, y, 3))
    assert values == sorted(values)
    assert abs(values[0]) < 0.05
    assert values[-1] > 1


def test_dependence_without_correlation_is_seen():
    angle = np.random.default_rng(2).uniform(0, 2 * np.pi, 1000)
    assert knn_mutual_information(np.cos(angle)[:, None], np.sin(angle)[:, None], 1) > 1


def test_equal_rows_do_not_break_it():
    x = np.repeat(np.random.default_rng(0).normal(size=(20, 2)), 10, axis=0)
    assert np.isfinite(knn_mutual_information(x, np.ones((200, 2))))


def test_invariant_to_scale_and_symmetric():
    x, y = gaussian(0.7, 300)
    value = knn_mutual_information(x, y, 2)
    assert knn_mutual_information(1e4 * x + 3, y, 2) == pytest.approx(value, abs=1e-6)
    assert knn_mutual_information(y, x, 2) == pytest.approx(value, abs=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match=r"neighbors must be in 1 .. 4, got 5"):
        knn_mutual_information(np.eye(5), np.eye(5))
